"""Latents that no longer depend on a corruption of the observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.data.frames import as_frames
from latentrl.models import make
from latentrl.share.card import card_invariance, model_card
from latentrl.training.invariance import r2
from latentrl.types import Array

BACKBONE = {"name": "conv", "channels": (16, 16)}


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
    model = lrl.beta_vae(images.shape[1:], 2, beta=0.1, backbone=BACKBONE)
    lrl.fit(
        model, images, lrl.FitConfig(steps=200, batch_size=32, learning_rate=3e-3), progress=False
    )
    return model


@pytest.fixture(scope="module")
def copy(model: lrl.Autoencoder, images: Array) -> lrl.Autoencoder:
    config = lrl.FitConfig(steps=150, batch_size=32, learning_rate=3e-3)
    return lrl.invariant(model, images, "hue_shift", config, progress=False)


def r2_of(found: Array, right: Array) -> float:
    return float(1 - np.square(found - right).sum() / np.square(right - right.mean(0)).sum())


def test_latents_in_other_colours_are_those_of_the_first_ones(model, copy, images) -> None:
    other = images[..., [2, 0, 1]]  # the hue is shifted by a third of the circle
    right = model.encode(images)
    assert r2_of(model.encode(other), right) < 0.2
    assert r2_of(copy.encode(other), right) > 0.8
    assert r2_of(copy.encode(images), right) > 0.8


def test_the_data_card_says_what_was_reached(model, copy, tmp_path) -> None:
    lrl.save(copy, tmp_path)
    found = card_invariance(lrl.load(tmp_path, "cpu"))
    assert found.corruptions == [{"name": "hue_shift"}]
    assert found.before < 0.2 < 0.8 < found.after <= 1
    assert found.reached
    assert "R2 of the latents after hue_shift" in model_card(tmp_path)
    assert card_invariance(model) is None


def test_metrics_of_the_first_weights_are_not_kept(model, images) -> None:
    model.metadata["quality"] = {"explained": 1.0}
    try:
        short = lrl.FitConfig(steps=1, batch_size=8)
        with pytest.warns(UserWarning, match="still depend"):
            assert (
                "quality"
                not in lrl.invariant(model, images, "hue_shift", short, progress=False).metadata
            )
    finally:
        del model.metadata["quality"]


def test_the_config_is_that_of_the_model(model, copy) -> None:
    assert copy.config == model.config
    assert not copy.corruptions


def test_r2_counts_all_dimensions_alike(model, images) -> None:
    assert r2(model, model, as_frames(images), []) == 1
    torch.manual_seed(1)
    other = lrl.beta_vae(images.shape[1:], 2, backbone=BACKBONE)
    right, found = model.encode(images), other.encode(images)
    error = np.square(found - right).mean(0) / right.var(0).clip(1e-4)
    expected = 1 - error[model.latent_std.numpy() > 0.01].mean()
    assert r2(other, model, as_frames(images), []) == pytest.approx(expected, rel=1e-3)


@pytest.mark.filterwarnings("ignore:the latents", "ignore:the restored observations")
@pytest.mark.parametrize("name", ["fsq_ae", "denoising_ae", "dae_beta_vae", "inpainting_ae"])
def test_other_models_are_trained_further(name, images) -> None:
    torch.manual_seed(0)
    model = make(name, (16, 16, 3), latent_dim=4, backbone={"name": "linear"})
    config = lrl.FitConfig(steps=10, batch_size=16)
    lrl.fit(model, images, config, progress=False)
    copy = lrl.invariant(model, images, ["hue_shift", "blur"], config, progress=False)
    assert copy.config == model.config
    assert len(copy.corruptions) == len(model.corruptions)
    assert not np.array_equal(copy.encode(images), model.encode(images))
    found = card_invariance(copy)
    assert np.isfinite([found.before, found.after]).all()
    assert found.names == "hue_shift, blur"


def test_constant_latents_are_refused(images) -> None:
    constant = lrl.beta_vae((16, 16, 3), 2, beta=1e6, backbone=BACKBONE)
    with pytest.warns(UserWarning, match="collapsed"):
        lrl.fit(constant, images, lrl.FitConfig(steps=50, batch_size=8), progress=False)
    with pytest.raises(ValueError, match="the latents of this model are constant"):
        lrl.invariant(constant, images, "hue_shift")


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
