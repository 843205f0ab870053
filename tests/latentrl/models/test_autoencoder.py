"""The model class: arrays in, arrays out, and the mistakes that it names."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.models.arrays import CHUNK
from latentrl.models.backbones import BACKBONES
from latentrl.models.config import AutoencoderConfig
from latentrl.models.heads import HEADS
from latentrl.models.likelihoods import LIKELIHOODS
from latentrl.types import Encoder, as_space, space_to_json

CONFIG = AutoencoderConfig("test", space_to_json(as_space((8,))), 3, head={"name": "point"})
VECTOR, IMAGE = as_space((8,)), as_space((16, 16, 3))
SEQUENCE = spaces.Box(-np.inf, np.inf, (12, 4), np.float32)
COMPONENTS = list(itertools.product(HEADS, BACKBONES, LIKELIHOODS))


def observations(space: spaces.Box, count: int = 3) -> Any:
    rng = np.random.default_rng(0)
    if space.dtype == np.uint8:
        return rng.integers(0, 256, (count, *space.shape), dtype=np.uint8)
    return rng.standard_normal((count, *space.shape)).astype(space.dtype)


@pytest.mark.parametrize(
    "space", [IMAGE, as_space((9, 16)), SEQUENCE, VECTOR], ids=lambda space: str(space.shape)
)
@pytest.mark.parametrize(("head", "backbone", "likelihood"), COMPONENTS)
def test_all_components_fit_one_another_or_raise_by_name(
    head: str, backbone: str, likelihood: str, space: spaces.Box
) -> None:
    specs = {
        "head": {"name": head},
        "backbone": {"name": backbone},
        "likelihood": {"name": likelihood},
    }
    config = dataclasses.replace(CONFIG, space=space_to_json(space), **specs)
    try:
        model = lrl.Autoencoder(config)
    except ValueError as error:
        assert f"backbone {backbone!r}" in str(error) or f"likelihood {likelihood!r}" in str(error)  # noqa: PT017
        return
    arrays = observations(space)
    x = model.preprocess(torch.from_numpy(arrays))
    terms, batch = model.losses(x, *model.sample_noise(x, torch.Generator().manual_seed(0)), step=0)
    assert batch.nll.shape == x.shape
    assert batch.z.shape == batch.posterior.mean.shape == (3, 3)
    terms["reconstruction"].backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
    latents = model.train().encode(arrays)
    assert latents.dtype == np.float32
    np.testing.assert_array_equal(latents, model.eval().encode(arrays))  # never a sample
    np.testing.assert_allclose(latents, batch.posterior.mean.detach().numpy(), atol=1e-5)
    restored = model.reconstruct(arrays)
    assert (restored.shape, restored.dtype) == (arrays.shape, arrays.dtype)
    assert model.pixel_nll(arrays).shape == arrays.shape


def test_config_survives_json() -> None:
    config = dataclasses.replace(
        CONFIG, preprocessing=lrl.Preprocessing((1, 2, 3, 4), (32, 48), True)
    )
    assert (
        AutoencoderConfig.from_json(json.loads(json.dumps(config.to_json()))).preprocessing
        == config.preprocessing
    )
    assert AutoencoderConfig.from_json(CONFIG.to_json()) == CONFIG


def test_config_names_unknown_fields() -> None:
    with pytest.raises(
        ValueError,
        match="unknown field 'colour' in a model's config; known: backbone, corruptions, head",
    ):
        AutoencoderConfig.from_json({**CONFIG.to_json(), "colour": 1})
    with pytest.raises(ValueError, match="training of a model's config is one of 'gradient', "):
        AutoencoderConfig.from_json({**CONFIG.to_json(), "training": "magic"})
    with pytest.raises(ValueError, match="a model's config lacks 'head'"):
        AutoencoderConfig.from_json(
            {key: value for key, value in CONFIG.to_json().items() if key != "head"}
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_dim": 0}, "latent_dim is a number of values, at least 1; got 0"),
        (
            {"latent_dim": 9},
            "latent_dim=9 is larger than the observation, which has 8 .* such as 'sparse_ae'",
        ),
        (
            {"latent_dim": 9, "losses": [{"name": "hole"}]},
            "latent_dim=9 is larger than the observation",
        ),
        ({"head": {"name": "gausian"}}, "unknown head 'gausian'; known: "),
        ({"backbone": {"name": "conv"}}, "backbone 'conv' is for images"),
        (
            {"losses": [{"name": "kl"}]},
            r"loss 'kl' needs a Gaussian posterior \(head 'gaussian'\), not head 'point'",
        ),
        (
            {"losses": [{"name": "saturation"}]},
            r"'saturation' needs a binary posterior \(head 'binary'\), not head 'p",
        ),
        ({"losses": [{"name": "nothing"}]}, "unknown loss 'nothing'; known: "),
        (
            {"likelihood": {"name": "bernoulli"}},
            r"needs values in \[0, 1\]; for vectors and sequences use 'gaussian'",
        ),
        (
            {"corruptions": [{"name": "greyscale"}]},
            r"'greyscale' needs images of 3 colour channels, .* shape \(8,\)",
        ),
        (
            {"corruptions": [{"name": "gaussian_noise", "clip": True}]},
            r"'clip': True.* needs values in \[0, 1\], as images have; .*: remove clip",
        ),
        ({"inference": {"name": "magic"}}, "unknown inference 'magic'; known: fista"),
        ({"reconstruction": {"name": "sound"}}, "unknown reconstruction 'sound'; known: features"),
        (
            {
                "reconstruction": {"name": "features", "model": CONFIG.to_json()},
                "likelihood": {"name": "diagonal_gaussian"},
            },
            "features are measured by likel",
        ),
        (
            {
                "backbone": {"name": "sigmoid", "tied": True},
                "likelihood": {"name": "diagonal_gaussian"},
            },
            "tied weights give one output for each value: use likelihood 'gaussian' or 'bernoulli'",
        ),
        (
            {
                "backbone": {"name": "sigmoid", "tied": True},
                "head": {"name": "point", "unit_columns": True},
            },
            "unit_columns needs a decoder that begins with a linear layer, which tied weights are",
        ),
    ],
)
def test_components_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.Autoencoder(dataclasses.replace(CONFIG, **changes))


@pytest.mark.parametrize("loss", ["sparsity", "contraction"])
def test_a_larger_latent_needs_a_loss_that_allows_it(loss: str) -> None:
    model = lrl.Autoencoder(dataclasses.replace(CONFIG, latent_dim=9, losses=[{"name": loss}]))
    assert model.encode(observations(VECTOR)).shape == (3, 9)


def test_the_latent_and_the_losses_get_separate_noise() -> None:
    model = lrl.vae((8,), 3)
    x = torch.randn(5, 8)
    inputs, mask, noise = model.sample_noise(x, torch.Generator().manual_seed(0))
    assert torch.equal(inputs, x)
    assert mask is None
    assert noise.shape == (2, 5, 3)
    _, batch = model.losses(x, inputs, mask, noise, 0)
    assert torch.equal(batch.z, batch.posterior.sample(noise[0]))
    assert torch.equal(batch.extra_noise, noise[1])
    first, second = (
        model.losses(x, x, None, None, 0)[1] for _ in range(2)
    )  # without noise all is fixed
    assert torch.equal(first.z, first.posterior.mean)
    assert torch.equal(first.extra_noise, second.extra_noise)
    assert first.extra_noise.std() > 0.5


def test_is_an_encoder(fitted: lrl.Autoencoder, images: Any) -> None:
    assert isinstance(fitted, Encoder)
    assert fitted.latent_space.contains(fitted.encode(images[0]))


def test_one_observation_equals_a_batch_of_one(fitted: lrl.Autoencoder, images: Any) -> None:
    np.testing.assert_array_equal(fitted.encode(images[0]), fitted.encode(images[:1])[0])
    np.testing.assert_array_equal(fitted.reconstruct(images[0]), fitted.reconstruct(images[:1])[0])
    np.testing.assert_array_equal(fitted.preprocessed(images[0]), images[0])


def test_long_batches_equal_their_parts(vectors: Any) -> None:
    model = lrl.vae((8,), 3)
    many = np.concatenate([vectors, vectors])[: CHUNK + 5]
    np.testing.assert_allclose(model.encode(many)[CHUNK:], model.encode(many[CHUNK:]), atol=1e-6)


@pytest.mark.parametrize("size", [None, (16, 16)])
def test_empty_batch_gives_an_empty_batch(size: tuple[int, int] | None) -> None:
    model = lrl.ae((20, 20, 3), 4, preprocessing=lrl.Preprocessing(size=size))
    empty = np.empty((0, 20, 20, 3), np.uint8)
    assert model.encode(empty).shape == (0, 4)
    assert model.reconstruct(empty).shape == (0, *(size or (20, 20)), 3)


def test_reconstruct_is_decode_of_encode(fitted: lrl.Autoencoder, images: Any) -> None:
    latents = fitted.encode(images)
    assert latents.dtype == np.float32
    np.testing.assert_array_equal(fitted.reconstruct(images), fitted.decode(latents))


def test_arrays_keep_the_units_and_dtype(images: Any) -> None:
    for space, batch in [
        (spaces.Box(0, 255, (32, 32, 3), np.uint8), images[:4]),
        (spaces.Box(0, 1, (32, 32, 3), np.float64), images[:4] / 255),
        (spaces.Box(0, 255, (128,), np.uint8), images[:4, 0, :, 0].repeat(4, axis=1)),
    ]:
        restored = lrl.ae(space, 4).reconstruct(batch)
        assert restored.dtype == space.dtype
        assert restored.min() >= space.low.min()
        assert restored.max() <= space.high.max()


def test_read_only_and_strided_arrays_are_accepted(fitted: lrl.Autoencoder, images: Any) -> None:
    frozen = images[:4].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(fitted.encode(frozen), fitted.encode(images[:4]))
    np.testing.assert_array_equal(fitted.encode(images[3::-1]), fitted.encode(images[:4])[::-1])


def test_the_latent_is_the_posterior_mean(fitted: lrl.Autoencoder, images: Any) -> None:
    x = fitted.preprocess(torch.from_numpy(images[:8]))
    with torch.no_grad():
        posterior, z, _ = fitted(x, torch.ones(8, fitted.latent_dim))
    np.testing.assert_allclose(fitted.encode(images[:8]), posterior.mean.numpy(), atol=1e-5)
    assert not torch.allclose(z, posterior.mean)


@pytest.mark.parametrize(
    ("observations", "message"),
    [
        (
            np.zeros((2, 32, 32, 1), np.uint8),
            r"expected observations of shape \(B, 32, 32, 3\), got \(2, 32, 32, 1\)",
        ),
        (np.zeros((1, 2, 32, 32, 3), np.uint8), r"got \(1, 2, 32, 32, 3\)"),
        (
            np.zeros((2, 32, 32, 3), np.float32),
            r"expected uint8 observations, got float32; .*\(32, 32, 3\) uint8",
        ),
    ],
)
def test_wrong_observations_are_refused(
    fitted: lrl.Autoencoder, observations: Any, message: str
) -> None:
    for use in (fitted.encode, fitted.reconstruct, fitted.preprocessed, fitted.pixel_nll):
        with pytest.raises(ValueError, match=message):
            use(observations)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    model = lrl.ae((8,), 3)
    with pytest.raises(ValueError, match="observations contain NaN or infinity"):
        model.encode(np.full((2, 8), value))
    rows = np.zeros((5, 8))
    rows[3, 1] = value
    with pytest.raises(ValueError, match="observations contain NaN or infinity, first in row 3"):
        model.encode(rows)
    with pytest.raises(ValueError, match="latents contain NaN or infinity"):
        model.decode(np.full((2, 3), value))


def test_wrong_latents_are_refused(fitted: lrl.Autoencoder) -> None:
    with pytest.raises(ValueError, match=r"expected latents of shape \(B, 6\), got \(2, 5\)"):
        fitted.decode(np.zeros((2, 5)))


def test_without_a_decoder_nothing_is_decoded(images: Any) -> None:
    model = lrl.random((32, 32, 3), 4)
    uses = [
        (model.decode, np.zeros((1, 4))),
        (model.reconstruct, images[:1]),
        (model.pixel_nll, images[:1]),
    ]
    for use, arrays in uses:
        with pytest.raises(
            TypeError, match="a 'random' model has no decoder; train 'pca', 'ae' or 'beta_vae'"
        ):
            use(arrays)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "diagonal_gaussian"])
def test_pixel_nll_is_the_loss_of_every_value_in_its_place(likelihood: str, images: Any) -> None:
    model = lrl.vae((32, 32, 3), 4, likelihood=likelihood, backbone={"name": "linear"})
    nll = model.pixel_nll(images[:5])
    assert nll.dtype == np.float32
    x = model.preprocess(torch.from_numpy(images[:5]))
    terms, batch = model.losses(x, x, None, None, 0)
    assert nll.sum() / 5 == pytest.approx(float(terms["reconstruction"].detach()), rel=1e-4)
    np.testing.assert_allclose(nll, batch.nll.detach().permute(0, 2, 3, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.pixel_nll(images[2]), nll[2], rtol=1e-4, atol=1e-4)


def test_pixel_nll_has_the_shape_of_the_networks_inputs() -> None:
    preprocessing = lrl.Preprocessing(size=(8, 12), greyscale=True)
    model = lrl.ae(IMAGE, 4, preprocessing=preprocessing)
    assert (
        model.pixel_nll(observations(IMAGE)).shape
        == model.preprocessed(observations(IMAGE)).shape
        == (3, 8, 12, 1)
    )


def test_properties_describe_the_model(fitted: lrl.Autoencoder) -> None:
    assert fitted.fitted
    assert fitted.variational
    assert not lrl.ae((8,), 3).fitted
    assert [lrl.ae((8,), 3).variational, lrl.binary_ae((8,), 3).variational] == [False, False]


def test_images_out_of_their_range_are_refused() -> None:
    model = lrl.ae(spaces.Box(0, 1, (16, 16, 3), np.float32), 4)
    for values in (
        np.full((2, 16, 16, 3), 255, np.uint8),
        np.full((2, 16, 16, 3), -0.5, np.float32),
    ):
        with pytest.raises(
            ValueError, match=r"go from .*, their space declares 0 to 1: scale them"
        ):
            model.encode(values)


def test_arrays_without_numbers_are_refused() -> None:
    for array in (np.full((2, 8), "a"), np.ones((2, 8), complex), np.full((2, 8), None)):
        with pytest.raises(ValueError, match="expected numbers, got observations of dtype"):
            lrl.ae((8,), 3).encode(array)


def test_sizes_must_be_whole_numbers() -> None:
    with pytest.raises(TypeError, match=r"latent_dim is a whole number, got 4\.5"):
        lrl.ae((8,), 4.5)
    with pytest.raises(TypeError, match="expected an observation space or a shape such as"):
        lrl.ae(16, 4)
