"""Latents that no longer depend on a corruption of the observation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.types import Array

BACKBONE = {"name": "mlp", "hidden": (64,)}


@pytest.fixture(scope="module")
def images() -> Array:
    """A grey wall of one of 16 heights in front of green: ``(256, 16, 16, 3)``."""
    heights = np.random.default_rng(0).integers(0, 16, 256)
    wall = np.arange(16)[None, :, None] < heights[:, None, None]
    colours = np.where(wall[..., None], (120, 120, 120), (60, 200, 90))
    return np.broadcast_to(colours, (256, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model(images: Array) -> lrl.Autoencoder:
    torch.manual_seed(0)
    model = lrl.beta_vae(images.shape[1:], 4, beta=0.1, backbone=BACKBONE)
    lrl.fit(
        model, images, lrl.FitConfig(steps=300, batch_size=32, learning_rate=3e-3), progress=False
    )
    return model


@pytest.fixture(scope="module")
def copy(model: lrl.Autoencoder, images: Array) -> lrl.Autoencoder:
    config = lrl.FitConfig(steps=400, batch_size=32, learning_rate=2e-3)
    return lrl.invariant(model, images, "hue_shift", config, progress=False)


def r2(found: Array, right: Array) -> float:
    return float(1 - np.square(found - right).sum() / np.square(right - right.mean(0)).sum())


def test_latents_in_other_colours_are_those_of_the_first_ones(model, copy, images) -> None:
    other = images[..., [2, 0, 1]]  # the hue is shifted by a third of the circle
    right = model.encode(images)
    assert r2(model.encode(other), right) < 0.2
    assert r2(copy.encode(other), right) > 0.8
    assert r2(copy.encode(images), right) > 0.8


def test_the_data_card_says_what_was_reached(model, copy, tmp_path) -> None:
    lrl.save(copy, tmp_path)
    card = lrl.load(tmp_path, "cpu").metadata["invariance"]
    assert card["corruptions"] == [{"name": "hue_shift"}]
    assert card["before"] < 0.2 < 0.8 < card["after"] <= 1
    assert "invariance" not in model.metadata
    assert json.dumps(card)


def test_config_and_statistics_are_those_of_the_model(model, copy) -> None:
    assert copy.config == model.config
    assert torch.equal(copy.latent_mean, model.latent_mean)
    assert torch.equal(copy.latent_std, model.latent_std)
    assert not copy.corruptions


def test_latents_that_still_depend_on_it_are_a_warning(model, images) -> None:
    short = lrl.FitConfig(steps=1, batch_size=8)
    with pytest.warns(UserWarning, match="still depend on hue_shift: R2 of those of corrupted"):
        lrl.invariant(model, images, ["hue_shift"], short, progress=False)


@pytest.mark.parametrize(
    ("corruptions", "message"),
    [
        ("fog", "unknown corruption 'fog'; known: "),
        ({"name": "blur", "sigma": -1.0}, "sigma is a standard deviation and must be positive"),
        ([], "name at least one corruption"),
    ],
)
def test_corruptions_are_checked(model, images, corruptions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.invariant(model, images, corruptions)


def test_models_and_frames_are_checked(model, images) -> None:
    with pytest.raises(ValueError, match="has not been fitted"):
        lrl.invariant(lrl.beta_vae((16, 16, 3), 4), images, "hue_shift")
    with pytest.raises(ValueError, match="these frames are"):
        lrl.invariant(model, images[:, :8], "hue_shift")
    principal = lrl.pca((16, 16, 3), 4)
    lrl.fit(principal, images, progress=False)
    with pytest.raises(ValueError, match="a 'pca' encoder is not trained by gradient steps"):
        lrl.invariant(principal, images, "hue_shift")
