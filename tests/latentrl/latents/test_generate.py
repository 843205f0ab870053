"""Samples, interpolations and directions, through decoders that return the latent itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from scipy.stats import norm

import latentrl as lrl
from latentrl.models.arrays import CHUNK
from latentrl.training.health import latent_order

MLP = {"name": "mlp", "hidden": (16,)}


def exact(model: lrl.Autoencoder) -> lrl.Autoencoder:
    """Make encoder and decoder of a linear model on vectors copy their input."""
    for layer in (model.encoder[1], model.decoder[0]):
        layer.weight.data.zero_()
        layer.weight.data[: layer.in_features, : layer.out_features].fill_diagonal_(1)
        layer.bias.data.zero_()
    model.latent_quantiles.fill_(1)
    return model


@pytest.fixture
def identity() -> lrl.Autoencoder:
    return exact(lrl.ae((3,), 3, backbone={"name": "linear"}))


@pytest.fixture
def prior() -> lrl.Autoencoder:
    """A VAE whose decoder returns the latent itself."""
    return exact(lrl.vae((3,), 3, backbone={"name": "linear"}))


def test_samples_decode_latents_of_the_prior(prior: lrl.Autoencoder) -> None:
    latents = lrl.sample(prior, 20_000, seed=1)
    np.testing.assert_allclose(latents.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(latents.T), np.eye(3), atol=0.04)


def test_temperature_scales_the_latents(prior: lrl.Autoencoder) -> None:
    np.testing.assert_allclose(
        lrl.sample(prior, 10, temperature=0.5), lrl.sample(prior, 10) / 2, rtol=1e-6
    )


def test_samples_are_seeded_and_in_the_environments_units(fitted: lrl.Autoencoder) -> None:
    images = lrl.sample(fitted, 5, seed=3)
    assert images.shape == (5, 32, 32, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, lrl.sample(fitted, 5, seed=3))
    assert (images != lrl.sample(fitted, 5, seed=4)).any()


@pytest.mark.parametrize(
    "use", [lambda model: lrl.sample(model, 1), lrl.manifold], ids=["sample", "manifold"]
)
@pytest.mark.parametrize("make", [lrl.ae, lrl.pca, lrl.binary_ae, lrl.random])
def test_only_the_vae_family_can_be_sampled(use: Any, make: Any) -> None:
    with pytest.raises(
        TypeError,
        match=rf"'{make.__name__}' model cannot be sampled: it has no prior .*train 'vae' or",
    ):
        use(make((8,), 3))


def test_samples_need_a_positive_count_and_temperature(prior: lrl.Autoencoder) -> None:
    with pytest.raises(ValueError, match="at least 1; got 0"):
        lrl.sample(prior, 0)
    with pytest.raises(
        ValueError, match="temperature is a standard deviation and must be positive, got 0"
    ):
        lrl.sample(prior, 1, temperature=0)


def test_interpolation_is_a_straight_line(identity: lrl.Autoencoder) -> None:
    start, end = np.float32([1, 0, 2]), np.float32([0, 4, 2])
    way = lrl.interpolate(identity, start, end, steps=5)
    np.testing.assert_allclose(
        way, [start + t * (end - start) for t in (0, 0.25, 0.5, 0.75, 1)], atol=1e-6
    )


def test_spherical_interpolation_has_constant_angular_speed(identity: lrl.Autoencoder) -> None:
    start, end = np.float32([2, 0, 0]), np.float32([0, 2, 0])
    way = lrl.interpolate(identity, start, end, steps=7, path="spherical")
    angles = np.linspace(0, np.pi / 2, 7)
    np.testing.assert_allclose(
        way, 2 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1), atol=1e-5
    )


@pytest.mark.parametrize(
    "end", [[3, 0, 0], [-1, 0, 0], [0, 0, 0]], ids=["parallel", "opposite", "origin"]
)
def test_latents_without_an_arc_are_joined_by_a_line(
    end: list[float], identity: lrl.Autoencoder
) -> None:
    pair = np.float32([1, 0, 0]), np.float32(end)
    np.testing.assert_allclose(
        lrl.interpolate(identity, *pair, path="spherical"),
        lrl.interpolate(identity, *pair),
        atol=1e-6,
    )


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolation_starts_and_ends_with_reconstructions(
    path: Any, fitted: lrl.Autoencoder, images: Any
) -> None:
    way = lrl.interpolate(fitted, images[0], images[1], steps=4, path=path)
    assert way.shape == (4, 32, 32, 3)
    assert np.abs(way[[0, -1]].astype(int) - fitted.reconstruct(images[:2])).max() <= 1


def test_wrong_interpolations_are_refused(identity: lrl.Autoencoder, vectors: Any) -> None:
    end = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="unknown path 'curved'; known: linear, spherical"):
        lrl.interpolate(identity, end, end, path="curved")
    with pytest.raises(
        ValueError, match="steps is a number of positions, both ends included, at least 2; got 1"
    ):
        lrl.interpolate(identity, end, end, steps=1)
    with pytest.raises(ValueError, match=r"expected one observation of shape \(3,\), got \(1, 3\)"):
        lrl.interpolate(identity, end[None], end)
    with pytest.raises(TypeError, match="'random' model has no decoder"):
        lrl.interpolate(lrl.random((8,), 3), vectors[0], vectors[1])


def test_manifold_is_a_grid_of_quantiles(prior: lrl.Autoencoder) -> None:
    grid = lrl.manifold(prior, steps=5, dimensions=(2, 0))
    quantiles = norm.ppf((np.arange(5) + 0.5) / 5)
    np.testing.assert_allclose(grid[:, 0, 2], quantiles, atol=1e-5)
    np.testing.assert_allclose(grid[0, :, 0], quantiles, atol=1e-5)
    assert not grid[..., 1].any()


def test_manifold_takes_the_most_informative_dimensions(fitted: lrl.Autoencoder) -> None:
    grid = lrl.manifold(fitted, steps=3)
    assert grid.shape == (3, 3, 32, 32, 3)
    np.testing.assert_array_equal(grid, lrl.manifold(fitted, 3, tuple(latent_order(fitted)[:2])))


@pytest.mark.parametrize("dimensions", [(0, 0), (0, 3), (-1, 0), (1,), (0, 1, 2)])
def test_manifolds_need_two_dimensions(dimensions: Any, prior: lrl.Autoencoder) -> None:
    with pytest.raises(
        ValueError, match="a manifold needs two different dimensions from 0 to 2, got"
    ):
        lrl.manifold(prior, dimensions=dimensions)


def test_manifolds_need_two_steps_and_two_latents(prior: lrl.Autoencoder) -> None:
    with pytest.raises(
        ValueError, match="steps is a number of positions, both ends included, at least 2; got 1"
    ):
        lrl.manifold(prior, steps=1)
    with pytest.raises(
        ValueError, match="a manifold needs two latent dimensions, and this model has one"
    ):
        lrl.manifold(lrl.vae((3,), 1, backbone=MLP), dimensions=(0, 0))


def test_traversal_covers_the_quantiles_of_the_data(fitted: lrl.Autoencoder, images: Any) -> None:
    rows = lrl.traverse(fitted, images[0], dimensions=4, steps=5)
    assert rows.shape == (4, 5, 32, 32, 3)
    assert rows.dtype == np.uint8
    start, quantiles = fitted.encode(images[0]), fitted.latent_quantiles.numpy()
    for row, dimension in zip(rows, latent_order(fitted), strict=False):
        low, high = start.copy(), start.copy()
        low[dimension], high[dimension] = quantiles[0, dimension], quantiles[-1, dimension]
        for got, latent in [(row[0], low), (row[2], (low + high) / 2), (row[-1], high)]:
            assert np.abs(got.astype(int) - fitted.decode(latent)).max() <= 1
    assert not np.array_equal(rows[0, 0], rows[0, -1])


def test_traversal_of_all_dimensions(vectors: Any) -> None:
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    assert lrl.traverse(model, vectors[0]).shape == (3, 9, 8)


def test_traversal_of_given_dimensions(vectors: Any) -> None:
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    every = lrl.traverse(model, vectors[0])
    np.testing.assert_allclose(lrl.traverse(model, vectors[0], [2, 0]), every[[2, 0]], rtol=1e-5)
    for given in ([1, 3], [0.0, 1.0], [True], [[0, 1]], []):
        words = re.escape(f"dimensions of this model are whole numbers from 0 to 2, got {given}")
        with pytest.raises(ValueError, match=words):
            lrl.traverse(model, vectors[0], given)


def test_traversal_needs_a_decoder() -> None:
    model = lrl.random((8,), 3)
    lrl.fit(model, np.random.default_rng(0).random((20, 8)), progress=False)
    with pytest.raises(TypeError, match="a 'random' model has no decoder"):
        lrl.traverse(model, np.zeros(8, np.float32))


def test_traversals_need_one_observation_two_steps_and_a_fitted_model(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    with pytest.raises(ValueError, match="one observation"):
        lrl.traverse(fitted, images[:5])
    with pytest.raises(
        ValueError, match="steps is a number of positions, both ends included, at least 2; got 1"
    ):
        lrl.traverse(fitted, images[0], steps=1)
    with pytest.raises(
        ValueError, match="dimensions is a number of dimensions, at least 1, or None for all; got 0"
    ):
        lrl.traverse(fitted, images[0], dimensions=0)
    with pytest.raises(
        ValueError, match="this model has not been fitted: fit it, or load one that was"
    ):
        lrl.traverse(lrl.vae((3,), 2, backbone=MLP), np.zeros(3, np.float32))


def test_direction_is_the_difference_of_mean_latents(fitted: lrl.Autoencoder, images: Any) -> None:
    bright = images.max((1, 2, 3)) > 200
    expected = fitted.encode(images[bright]).mean(0) - fitted.encode(images[~bright]).mean(0)
    got = lrl.direction(
        fitted, images[bright], lrl.as_frames(images).subset(np.flatnonzero(~bright))
    )
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_directions_of_many_observations_and_of_one(identity: lrl.Autoencoder) -> None:
    positive = np.random.default_rng(0).standard_normal((2 * CHUNK + 1, 3)).astype(np.float32)
    np.testing.assert_allclose(
        lrl.direction(identity, positive, positive[0]), positive.mean(0) - positive[0], atol=1e-6
    )


def test_a_direction_needs_positive_and_negative_observations(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    with pytest.raises(
        ValueError, match="a direction needs at least one positive and one negative observation"
    ):
        lrl.direction(fitted, images, images[:0])


def test_arithmetic_moves_latents(identity: lrl.Autoencoder) -> None:
    rows = np.float32([[1, 2, 3], [4, 5, 6]])
    moved = lrl.arithmetic(identity, rows, np.float32([1, 0, -1]), strength=0.5)
    np.testing.assert_allclose(moved, rows + np.float32([0.5, 0, -0.5]), atol=1e-6)
    np.testing.assert_allclose(lrl.arithmetic(identity, rows[0], np.zeros(3)), rows[0], atol=1e-6)


def test_arithmetic_changes_the_attribute(images: Any) -> None:
    model = lrl.pca((32, 32, 3), 12)
    lrl.fit(model, images, progress=False)
    left = images[:, :, :12].max((1, 2, 3)) > 0
    moved = lrl.arithmetic(model, images[~left], lrl.direction(model, images[left], images[~left]))

    def column(batch: Any) -> float:
        return float(np.average(np.arange(32), weights=batch.sum((0, 1, 3), dtype=float)))

    assert column(moved) < column(images[~left]) - 4


def test_arithmetic_checks_the_direction(identity: lrl.Autoencoder) -> None:
    with pytest.raises(ValueError, match=r"expected a direction of shape \(3,\), got \(2,\)"):
        lrl.arithmetic(identity, np.zeros((1, 3), np.float32), np.zeros(2))


def test_sequences_are_generated() -> None:
    space = spaces.Box(-np.inf, np.inf, (7, 2), np.float32)
    model = lrl.vae(space, 3, backbone={"name": "recurrent", "hidden": 8})
    with pytest.raises(ValueError, match="this model has not been fitted: fit it, or load one"):
        lrl.sample(model, 4)
    model.latent_quantiles.fill_(1)
    assert lrl.sample(model, 4).shape == (4, 7, 2)
    assert lrl.manifold(model, 3, (0, 1)).shape == (3, 3, 7, 2)
