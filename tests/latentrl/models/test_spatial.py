"""The spatial backbone: its grid for any size, overlapping cells, and the mean image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.backbones import BACKBONES
from latentrl.models.likelihoods import LIKELIHOODS
from latentrl.types import LatentLayout

SPATIAL = {"name": "spatial"}
GRIDS = {
    (3, 64, 64): (8, 8),
    (3, 84, 84): (10, 10),
    (3, 96, 96): (12, 12),
    (1, 56, 56): (7, 7),
    (2, 17, 31): (8, 15),
    (3, 60, 80): (7, 10),
    (3, 8, 8): (4, 4),
}


def images(count: int, *shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize(("shape", "grid"), GRIDS.items(), ids=str)
def test_images_of_any_size_get_a_grid(shape: tuple[int, int, int], grid: tuple[int, int]) -> None:
    backbone = BACKBONES.build(SPATIAL)
    assert backbone.grid(shape) == grid
    x = torch.rand(2, *shape)
    outputs = backbone.encoder(shape, 5 * math.prod(grid))(x)
    assert outputs.shape == (2, 5 * math.prod(grid))
    assert backbone.decoder(5 * math.prod(grid), shape)(outputs).shape == x.shape


def test_cells_are_laid_out_channels_first_and_overlap() -> None:
    torch.manual_seed(0)
    encoder = BACKBONES.build(SPATIAL).encoder((1, 64, 64), 2 * 64)
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    encoder(x).view(2, 8, 8)[1, 3, 5].backward()
    assert x.grad is not None
    rows, columns = (x.grad[0, 0].abs().sum(axis).nonzero().flatten() for axis in (1, 0))
    # The cell's own 8 x 8 pixels are rows 24 to 31 and columns 40 to 47.
    assert 8 < rows.min() < 24
    assert 31 < rows.max() < 48
    assert 24 < columns.min() < 40
    assert 47 < columns.max() < 64


def test_the_layout_says_the_grid() -> None:
    model = lrl.beta_vae((84, 84, 3), latent_dim=300, backbone=SPATIAL)
    assert model.latent_layout == LatentLayout((10, 10), 3)


def test_values_are_divided_evenly_among_cells() -> None:
    message = r"'spatial' has 8 x 8 cells .* multiple of 64"
    with pytest.raises(ValueError, match=message):
        lrl.beta_vae((64, 64, 3), latent_dim=100, backbone=SPATIAL)
    with pytest.raises(ValueError, match=r"'spatial' is for images \(C, H, W\), not .* \(5,\)"):
        BACKBONES.build(SPATIAL).encoder((5,), 64)


@pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
def test_a_decoder_of_zeros_returns_the_mean_image(likelihood: str) -> None:
    model = lrl.beta_vae((16, 16, 3), latent_dim=64, backbone=SPATIAL, likelihood=likelihood)
    mean = torch.rand(3, 16, 16) * 0.9 + 0.05
    assert model.is_centred
    model.centre(mean)
    assert model.decoder is not None
    with torch.no_grad():
        for parameter in [*model.encoder.parameters(), *model.decoder.parameters()]:
            parameter.zero_()
        restored = model.likelihood.mean(model.decoder(torch.zeros(1, 64)))[0]
    torch.testing.assert_close(restored, mean)


def test_the_encoder_takes_the_difference_from_the_mean_image() -> None:
    torch.manual_seed(0)
    model = lrl.beta_vae((16, 16, 3), latent_dim=64, backbone=SPATIAL)
    x, mean = torch.rand(4, 3, 16, 16), torch.rand(3, 16, 16)
    plain = model.encoder(x - mean)
    model.centre(mean)
    torch.testing.assert_close(model.encoder(x), plain)


@pytest.mark.filterwarnings("ignore:the latents have collapsed")
def test_fit_centres_on_the_training_frames(tmp_path: Any) -> None:
    frames = lrl.as_frames(images(40, 16, 16, 3))
    model = lrl.beta_vae((16, 16, 3), latent_dim=64, backbone=SPATIAL)
    history = lrl.fit(model, frames, lrl.FitConfig(steps=2, batch_size=8), progress=False)
    expected = history.training[:].mean(0).transpose(2, 0, 1) / 255
    offset = model.encoder[0].offset.numpy()
    np.testing.assert_allclose(offset, -expected, atol=1e-6)
    loaded = lrl.load(lrl.save(model, tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(loaded.encoder[0].offset.numpy(), offset)


def test_other_backbones_have_no_mean_image() -> None:
    assert not lrl.beta_vae((16, 16, 3)).is_centred
