"""Lost details: an object that is painted out, blurred edges, noise, and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from latentrl.training.details import FAINT, lost_details, window_side
from tests.latentrl.training.ball import ball_frames


def scaled(images: Any) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def blurred(x: Tensor) -> Tensor:
    """Blur by a triangular filter of 5 x 5 pixels."""
    for _ in range(2):
        x = F.avg_pool2d(F.pad(x, (1,) * 4, mode="replicate"), 3, 1)
    return x


@pytest.mark.parametrize("side", [32, 64, 84])
def test_an_object_that_is_painted_out_is_lost(side: int) -> None:
    drawn = ball_frames(60, side)
    details = lost_details(scaled(drawn.observations), scaled(drawn.background))
    assert details.fraction.median() > 0.7
    # The window holds a pixel of the ball or of its blur.
    distance = np.abs(details.corner.numpy() - drawn.positions).max(1)
    assert (distance <= window_side(side, side) + 1).all()


@pytest.mark.parametrize("side", [32, 64])
def test_a_perfect_reconstruction_and_a_blurred_background_lose_nothing(side: int) -> None:
    drawn = ball_frames(60, side)
    x, background = scaled(drawn.observations), scaled(drawn.background)
    assert lost_details(x, x).fraction.max() == 0
    assert lost_details(background, blurred(background)).fraction.max() < 0.3


def test_a_blurred_edge_keeps_most_of_its_contrast() -> None:
    x = torch.zeros(1, 1, 64, 64)
    x[..., 20:] = 1
    assert lost_details(x, blurred(x)).fraction < 0.3


def test_noise_is_no_detail() -> None:
    x = 0.5 + 0.02 * torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert lost_details(x, torch.full_like(x, 0.5)).fraction.max() < 0.4


def small_objects(texture: float, count: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Return frames with two dots of 2 and 3 pixels on a texture, those without the second dot, and
    the texture."""
    rng = np.random.default_rng(1)
    background = torch.from_numpy(0.4 + texture * rng.uniform(-1, 1, (3, 64, 64))).float()
    x = background.repeat(count, 1, 1, 1)
    without = x.clone()
    for image, other in zip(x, without, strict=True):
        (top, left), (row, column) = rng.integers(2, 62, (2, 2))
        for drawn in (image, other):
            drawn[2, top, left : left + 2] = 1
        image[0, row, column - 1 : column + 2] = 1
    return x, without, background


@pytest.mark.parametrize("texture", [0.0, 0.3])
def test_a_small_object_is_lost_on_any_scene_that_stands_still(texture: float) -> None:
    x, without, background = small_objects(texture)
    mean = x.mean(0)
    for restored in (without, background.expand_as(x)):
        details = lost_details(x - mean, restored - restored.mean(0))
        assert details.fraction.quantile(0.9) > 0.6
    dim = 0.8 * x + 0.2 * blurred(x)
    assert lost_details(x - mean, dim - dim.mean(0)).fraction.max() < 0.2


def test_what_only_the_reconstruction_has_is_no_lost_detail() -> None:
    x, without, _ = small_objects(0.0)
    assert lost_details(without, x).fraction.quantile(0.9) < 0.2


def test_details_equal_brute_force() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.random((2, 2, 20, 24))
    restored = x + 0.3 * noise
    side = window_side(20, 24)
    best = (-1.0, 0.0, 0.0, (0, 0))
    padded, smooth = np.pad(x, ((0, 0), (1, 1), (1, 1)), "edge"), np.empty_like(x)
    error = np.pad(restored - x, ((0, 0), (1, 1), (1, 1)), "edge")
    contrasts, wrongs = np.empty((2, 20 - side + 1, 24 - side + 1))
    smooth_error = np.empty_like(x)
    for i, j in np.ndindex(20, 24):
        smooth[:, i, j] = padded[:, i : i + 3, j : j + 3].mean((1, 2))
        smooth_error[:, i, j] = error[:, i : i + 3, j : j + 3].mean((1, 2))
    wide = np.pad(smooth, ((0, 0), (side, side), (side, side)), "edge")
    for i, j in np.ndindex(20 - side + 1, 24 - side + 1):
        around = wide[:, i : i + 3 * side, j : j + 3 * side].mean((1, 2), keepdims=True)
        window = smooth[:, i : i + side, j : j + side]
        contrasts[i, j] = np.square(window - around).sum(0).mean()
        wrongs[i, j] = np.square(smooth_error[:, i : i + side, j : j + side]).sum(0).mean()
    rms = np.sqrt(contrasts / 2)
    middle = np.sort(rms.ravel())[(rms.size - 1) // 2]  # as torch.median has it
    faint = np.clip(max(rms.max() / 2, 4 * middle), *FAINT)
    for (i, j), contrast in np.ndenumerate(contrasts):
        lost = min(wrongs[i, j], contrast)
        fraction = lost / (contrast + 2 * faint**2)
        best = max(best, (lost * fraction, fraction, lost, (i, j)))
    found = lost_details(*(torch.from_numpy(a[None]).float() for a in (x, restored)))
    assert found.fraction.item() == pytest.approx(best[1], rel=1e-4)
    assert found.error.item() == pytest.approx(best[2], rel=1e-4)
    assert tuple(found.corner[0].tolist()) == best[3]
