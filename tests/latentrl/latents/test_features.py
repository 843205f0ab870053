"""Features that anomaly detectors compare, against the model's own methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import latentrl as lrl
from latentrl.latents.features import all_features, features


def test_images_are_compared_at_ten_pixels_a_side(fitted: lrl.Autoencoder, images: Any) -> None:
    found = features(fitted, images[:4])
    assert found.inputs.shape == (4, 3 * 10 * 10)
    np.testing.assert_allclose(found.inputs.mean(1), images[:4].mean((1, 2, 3)) / 255, rtol=0.1)
    np.testing.assert_allclose(found.latents, fitted.encode(images[:4]), rtol=1e-4, atol=1e-5)
    assert found.nll is not None
    np.testing.assert_allclose(found.nll, fitted.pixel_nll(images[:4]).sum((1, 2, 3)), rtol=1e-4)
    assert found.errors is None


@pytest.mark.parametrize("shape", [(8,), (5, 3)])
def test_vectors_and_sequences_have_errors(shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (700, *shape)).astype(np.float32)
    model = lrl.pca(lrl.as_frames(rows).space, 3)
    lrl.fit(model, rows, progress=False)
    found = all_features(model, lrl.as_frames(rows))
    scaled = ((rows - model.preprocess.mean.numpy()) / model.preprocess.std.numpy()).reshape(
        700, -1
    )
    np.testing.assert_allclose(found.inputs, scaled, atol=1e-5)
    decoded = (model.reconstruct(rows) - rows) / model.preprocess.std.numpy()
    assert found.errors is not None
    np.testing.assert_allclose(found.errors, np.abs(decoded).reshape(700, -1), atol=1e-4)
    np.testing.assert_allclose(found.latents, model.encode(rows), rtol=1e-4, atol=1e-5)


def test_without_a_decoder_there_are_inputs_and_latents() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    model = lrl.random((4,), latent_dim=3)
    lrl.fit(model, rows, progress=False)
    found = all_features(model, lrl.as_frames(rows))
    assert found.inputs.shape == (20, 4)
    assert found.latents.shape == (20, 3)
    assert found.nll is None
    assert found.errors is None
