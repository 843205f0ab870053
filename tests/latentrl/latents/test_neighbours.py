"""Distances from references against scikit-learn, and the scales of the terms."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import latentrl as lrl
import latentrl.latents.features
from latentrl.latents import neighbours
from latentrl.latents.features import features
from latentrl.latents.neighbours import References, nearest


@pytest.mark.parametrize("count", [2, 4, 40, 700])
def test_nearest_equals_scikit_learn(count: int) -> None:
    rng = np.random.default_rng(count)
    references, vectors = rng.standard_normal((count, 5)), rng.standard_normal((600, 5))
    means, positions = nearest(vectors, references)
    k = min(10, count)
    distances, expected = NearestNeighbors(n_neighbors=k).fit(references).kneighbors(vectors)
    np.testing.assert_allclose(means, distances[:, :3].mean(1))
    np.testing.assert_array_equal(np.sort(positions), np.sort(expected))


def test_a_reference_is_no_neighbour_of_its_own() -> None:
    references = np.random.default_rng(0).standard_normal((600, 4))
    means, positions = nearest(references, references, itself=True)
    distances, expected = NearestNeighbors(n_neighbors=10).fit(references).kneighbors()
    np.testing.assert_allclose(means, distances[:, :3].mean(1))
    np.testing.assert_array_equal(np.sort(positions), np.sort(expected))


def test_near_vectors_far_from_the_origin_keep_their_distance() -> None:
    references = np.array([[1e4, 0], [1e4, 1e-3], [-1e4, 5]])
    means, _ = nearest(references[:1], references[1:2].repeat(2, 0))
    np.testing.assert_allclose(means, 1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def linear(vectors: Any) -> lrl.Autoencoder:
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    return model


def make(
    model: lrl.Autoencoder, data: Any, limit: int = 10_000, held_out: float = 0.1
) -> References:
    training, validation = lrl.as_frames(data).split(held_out, 0)
    return References.fit(model, training, validation, limit, 0)


def test_terms_of_normal_observations_are_standard_scores(
    linear: lrl.Autoencoder, vectors: Any
) -> None:
    references = make(linear, vectors[:600], held_out=0.4)
    terms = references.terms(features(linear, vectors[600:]))
    assert terms.shape == (400, 4)
    scores = (terms - references.centre) / references.width
    assert np.abs(np.median(scores, 0)).max() < 0.3
    np.testing.assert_allclose(scores.std(0), 1, atol=0.5)
    np.testing.assert_allclose(
        references.score(linear, vectors[600:]), scores @ [2, 1, 1, 4], rtol=1e-6
    )


def test_repeated_observations_are_one_reference(linear: lrl.Autoencoder, vectors: Any) -> None:
    references = make(linear, np.repeat(vectors[:50], 4, axis=0))
    assert len(references.vectors) == 50
    scores = references.score(linear, vectors[:50])
    assert np.isfinite(scores).all()
    assert scores.max() < references.score(linear, vectors[:50] + 100).min()


def test_references_are_a_bounded_sample(
    linear: lrl.Autoencoder, vectors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(make(linear, vectors).vectors) == 1000
    assert len(make(linear, vectors, limit=200).vectors) == 200
    monkeypatch.setattr(neighbours, "MAX_VALUES", 11 * 300)  # 8 inputs and 3 latents each
    assert len(make(linear, vectors).vectors) == 300


def test_too_few_different_observations_are_refused(linear: lrl.Autoencoder, vectors: Any) -> None:
    with pytest.raises(ValueError, match="at least 3 normal observations that differ, got 2 among"):
        make(linear, np.repeat(vectors[:2], 20, axis=0))


def test_equal_observations_are_equal_whatever_their_features_are_rounded_to(
    linear: lrl.Autoencoder, vectors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)

    def rounded(model: lrl.Autoencoder, batch: Any) -> Any:
        found = features(model, batch)
        noise = 1e-7 * rng.standard_normal(found.latents.shape)
        return dataclasses.replace(found, latents=found.latents + noise)

    monkeypatch.setattr(latentrl.latents.features, "features", rounded)
    assert len(make(linear, np.repeat(vectors[:50], 4, axis=0)).vectors) == 50
    with pytest.raises(ValueError, match="at least 3 normal observations that differ, got 2 among"):
        make(linear, np.repeat(vectors[:2], 20, axis=0))


def test_the_largest_error_is_in_units_of_its_own_value() -> None:
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(900, 2))
    units = np.array([1, 1, 5, 0.2, 1, 1, 1, 1])
    vectors = causes @ rng.normal(size=(2, 8)) + rng.normal(size=(900, 8)) * 0.1 * units
    model = lrl.pca((8,), 2)
    lrl.fit(model, vectors[:600].astype(np.float32), progress=False)
    references = make(model, vectors[:600].astype(np.float32), held_out=0.4)
    test = vectors[600:].astype(np.float32)
    errors = np.abs(model.reconstruct(test) - test) / model.preprocess.std.numpy()
    held_out = lrl.as_frames(vectors[:600].astype(np.float32)).split(0.4, 0)[1][:]
    of_held_out = np.abs(model.reconstruct(held_out) - held_out) / model.preprocess.std.numpy()
    typical = np.sqrt(np.square(of_held_out).mean(0))
    np.testing.assert_allclose(references.typical, typical, rtol=1e-3)
    largest = np.exp(references.terms(features(model, test))[:, 3])
    np.testing.assert_allclose(largest, (errors / typical).max(1) + 1e-3, rtol=1e-2)


def test_values_without_errors_count_by_the_median() -> None:
    constant = np.zeros((50, 1))
    errors = np.concatenate([constant, np.full((50, 2), 0.5)], axis=1)
    np.testing.assert_allclose(neighbours._typical_errors(errors), [0.05, 0.5, 0.5], rtol=1e-5)
    assert neighbours._typical_errors(None).shape == (0,)
