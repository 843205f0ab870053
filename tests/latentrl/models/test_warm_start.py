"""General-purpose weights: which models they suit, grey images, and that they help."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.warm_start import FILE, can_warm_start, networks_of
from latentrl.training.choice import BUSY_CHANNELS, CHANNELS

SPATIAL = {"backbone": {"name": "spatial"}}
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [CHANNELS, BUSY_CHANNELS])
@pytest.mark.parametrize("shape", [(64, 64, 3), (60, 100, 3), (84, 84)])
def test_weights_suit_grids_of_other_images(channels, shape):
    cells = (shape[0] // 8) * (shape[1] // 8)
    model = lrl.beta_vae(shape, channels * cells, **SPATIAL)
    before = {name: tensor.clone() for name, tensor in networks_of(model).items()}
    lrl.warm_start(model)
    assert all(not torch.equal(before[name], p) for name, p in networks_of(model).items())
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "model",
    [
        lrl.beta_vae((64, 64, 3), 32),
        lrl.beta_vae((64, 64, 3), 5 * 64, **SPATIAL),
        lrl.beta_vae((64, 64, 2), 4 * 64, **SPATIAL),
        lrl.beta_vae((32, 32, 3), 4 * 64, **SPATIAL),
        lrl.beta_vae((64, 64, 3), 4 * 64, likelihood="bernoulli", **SPATIAL),
        lrl.beta_vae((64, 64, 3), 4 * 64, backbone={"name": "spatial", "channels": (8, 16)}),
        lrl.ae((64, 64, 3), 4 * 64, **SPATIAL),
        lrl.random((64, 64, 3), 4 * 64, **SPATIAL),
        lrl.beta_vae((20,), 4),
    ],
)
def test_other_networks_have_none(model):
    assert not can_warm_start(model)
    with pytest.raises(
        ValueError, match="general-purpose weights are for models with a Gaussian posterior"
    ):
        lrl.warm_start(model)


def test_a_fitted_model_keeps_what_it_has_learned():
    model = lrl.beta_vae((64, 64, 3), 256, **SPATIAL)
    model.latent_quantiles += 1
    with pytest.raises(ValueError, match="this model has been fitted, and would lose what it"):
        lrl.warm_start(model)


def test_a_grey_image_is_one_of_three_equal_colours():
    grey, colour = (lrl.beta_vae((64, 64, c), 256, **SPATIAL) for c in (1, 3))
    for model in (grey, colour):
        lrl.warm_start(model)
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        outputs, expected = grey.encoder(x), colour.encoder(x.expand(-1, 3, -1, -1))
        torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-4)
        z = expected[:, :256]
        decoded = colour.decoder(z).mean(1, keepdim=True)
        torch.testing.assert_close(grey.decoder(z), decoded, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_they_save_steps():
    """A square that moves over a texture, after 20 steps from general and from fresh weights."""
    images = np.repeat(RNG.integers(60, 120, (1, 64, 64, 3), np.uint8), 200, 0)
    for image, (y, x) in zip(images, RNG.integers(0, 58, (200, 2)), strict=True):
        image[y : y + 6, x : x + 6] = (220, 40, 40)
    config = lrl.FitConfig(steps=20, batch_size=16, learning_rate=2e-3)
    explained = []
    for warm in (True, False):
        torch.manual_seed(0)
        model = lrl.beta_vae((64, 64, 3), 256, beta=0.1, **SPATIAL)
        if warm:
            lrl.warm_start(model)
        lrl.fit(model, images[:160], config, progress=False)
        held_out = images[160:].astype(float)
        error = (model.reconstruct(images[160:]) - held_out) ** 2
        explained.append(1 - error.mean() / held_out.var(0).mean())
    assert explained[0] > 0.5 > explained[1]


def test_the_package_stays_small():
    assert 10_000 < FILE.stat().st_size < 500_000
