"""Batches of arrays, frames and files: all observations, in order, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.arrays import CHUNK
from latentrl.models.batches import batches, is_single, scaled_batches
from tests.latentrl.data.writers import save_image


def test_batches_hold_all_observations_in_order(
    fitted: lrl.Autoencoder, images: Any, tmp_path: Any
) -> None:
    many = np.concatenate([images] * 4)
    np.save(tmp_path / "images.npy", many)
    for source in (many, lrl.as_frames(many), tmp_path / "images.npy"):
        parts = list(batches(fitted, source))
        assert max(map(len, parts)) == CHUNK
        np.testing.assert_array_equal(np.concatenate(parts), many)
    (single,) = batches(fitted, images[0])
    np.testing.assert_array_equal(single, images[:1])


def test_images_in_files_get_the_size_of_the_model(fitted: lrl.Autoencoder, tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    for i, shape in enumerate([(40, 50, 3), (64, 32, 3), (33, 33)]):
        save_image(tmp_path / f"{i}.png", rng.integers(0, 256, shape, dtype=np.uint8))
    (batch,) = batches(fitted, tmp_path)
    assert batch.shape == (3, 32, 32, 3)
    assert lrl.AnomalyDetector(fitted).score(tmp_path).shape == (3,)
    history = lrl.fit(lrl.pca((32, 32, 3), latent_dim=1), tmp_path, progress=False)
    assert history.training.space.shape == (32, 32, 3)


def test_methods_of_arrays_name_how_to_read_other_sources(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    for source, given in (("a.npy", "the path 'a.npy'"), (lrl.as_frames(images), "Frames")):
        message = rf"expected an array, got {given}: read it by as_frames\(...\)\[:\]"
        with pytest.raises(TypeError, match=message):
            fitted.encode(source)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=message):
            lrl.inpaint(fitted, source, np.zeros((32, 32), bool))  # type: ignore[arg-type]


def test_batches_are_checked(fitted: lrl.Autoencoder, images: Any) -> None:
    with pytest.raises(
        ValueError, match=r"expected observations of shape \(B, 32, 32, 3\), got \(200, 16, 32, 3\)"
    ):
        list(batches(fitted, images[:, :16]))
    with pytest.raises(ValueError, match="expected uint8 observations, got float32"):
        list(batches(fitted, lrl.as_frames((images / 255).astype(np.float32))))
    with pytest.raises(
        TypeError, match="expected Frames, a NumPy array, a data frame or a path, got list"
    ):
        list(batches(fitted, [images[0]]))


def test_scaled_batches_are_the_networks_inputs(fitted: lrl.Autoencoder, images: Any) -> None:
    parts = list(scaled_batches(fitted, lrl.as_frames(images), batch_size=64))
    assert [len(part) for part in parts] == [64, 64, 64, 8]
    expected = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(torch.cat(parts), expected)


def test_one_observation_is_single(fitted: lrl.Autoencoder, images: Any) -> None:
    assert is_single(fitted, images[0])
    assert not is_single(fitted, images[:1])
    assert not is_single(fitted, lrl.as_frames(images))
