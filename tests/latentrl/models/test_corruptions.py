"""Corruptions change the input by the stated amount, from the given generator alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Generator, Tensor

from latentrl.models import denoising_ae
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.corruptions import CORRUPTIONS

SHAPES = [(3, 40, 40), (500,), (60, 5)]
COLOUR_ONLY = {name for name in CORRUPTIONS if CORRUPTIONS.build({"name": name}).colour_only}
CASES = [
    (name, shape)
    for name in CORRUPTIONS
    for shape in SHAPES
    if len(shape) == 3 or name not in COLOUR_ONLY
]
EVERY = pytest.mark.parametrize(("name", "shape"), CASES, ids=str)


def apply(name: str, x: Tensor, **options: float) -> tuple[Tensor, Tensor | None]:
    return CORRUPTIONS.build({"name": name, **options})(x, Generator().manual_seed(0))


def corrupt(name: str, x: Tensor, **options: float) -> Tensor:
    return apply(name, x, **options)[0]


def observations(*shape: int, count: int = 4) -> Tensor:
    return 0.25 + 0.5 * torch.rand(count, *shape, generator=Generator().manual_seed(1))


@EVERY
def test_deterministic_under_a_seed(name: str, shape: tuple[int, ...]) -> None:
    x = observations(*shape)
    torch.manual_seed(1)
    first = corrupt(name, x)
    torch.manual_seed(2)
    assert torch.equal(first, corrupt(name, x))
    assert first.shape == x.shape
    assert first.dtype == x.dtype


@EVERY
def test_returns_a_corrupted_copy(name: str, shape: tuple[int, ...]) -> None:
    x = observations(*shape)
    kept = x.clone()
    corrupted = corrupt(name, x)
    assert torch.equal(x, kept)
    assert all(not torch.equal(a, b) for a, b in zip(corrupted, x, strict=True))


@EVERY
def test_the_mask_is_where_values_were_removed(name: str, shape: tuple[int, ...]) -> None:
    x = observations(*shape)
    corrupted, mask = apply(name, x)
    assert (mask is not None) == (name in ("masking", "cutout"))
    if mask is not None:
        assert mask.dtype == torch.bool
        assert torch.equal(mask.expand_as(x), corrupted == 0)
        assert torch.equal(corrupted, torch.where(mask, 0.0, x))


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_the_target_stays_clean(name: str) -> None:
    torch.manual_seed(0)
    model: Autoencoder = denoising_ae((16, 16, 3), 4, corruption=name, backbone={"name": "linear"})
    x = observations(3, 16, 16)
    inputs, mask, _ = model.sample_noise(x, Generator().manual_seed(0))
    terms, batch = model.losses(x, inputs, mask, None, 0)
    assert torch.equal(batch.x, x)
    assert torch.equal(batch.inputs, inputs)
    _, _, outputs = model(inputs)
    expected = -model.likelihood.log_prob(outputs, x).flatten(1).sum(1).mean()
    torch.testing.assert_close(terms["reconstruction"], expected)


def test_gaussian_noise_has_the_standard_deviation() -> None:
    x = observations(3, 40, 40)
    added = corrupt("gaussian_noise", x, std=0.3) - x
    assert abs(float(added.std()) - 0.3) < 0.01
    assert abs(float(added.mean())) < 0.01
    clipped = corrupt("gaussian_noise", x, std=0.3, clip=True)
    assert torch.equal(clipped, (x + added).clamp(0, 1))


def test_salt_and_pepper_fraction() -> None:
    corrupted = corrupt("salt_and_pepper", observations(3, 40, 40), fraction=0.3)
    assert abs(float((corrupted == 0).float().mean()) - 0.15) < 0.02
    assert abs(float((corrupted == 1).float().mean()) - 0.15) < 0.02


def test_masking_removes_whole_pixels() -> None:
    x = observations(3, 40, 40)
    corrupted = corrupt("masking", x, fraction=0.4)
    removed = corrupted == 0
    assert (removed.all(1) == removed.any(1)).all()
    assert abs(float(removed.float().mean()) - 0.4) < 0.03
    assert torch.equal(corrupted[~removed], x[~removed])


def interval(removed: Any) -> tuple[int, int]:
    """Return the first and last index that is True; those between must be True too."""
    indices = np.flatnonzero(removed)
    assert len(indices) == indices[-1] - indices[0] + 1
    return int(indices[0]), int(indices[-1])


@pytest.mark.parametrize("shape", [(3, 20, 40), (40,), (40, 5)], ids=str)
def test_cutout_is_one_box_within_the_limits_anywhere(shape: tuple[int, ...]) -> None:
    x = observations(*shape, count=600)
    corrupted = corrupt("cutout", x, smallest=0.2, largest=0.5)
    removed = (corrupted == 0).numpy()
    axes = {3: (2, 3), 1: (1,), 2: (1,)}[len(shape)]
    expected, bounds = np.ones_like(removed), {}
    for axis in axes:
        others = tuple(other for other in range(1, removed.ndim) if other != axis)
        ends = [interval(line) for line in removed.any(others)]
        indices = np.arange(removed.shape[axis]).reshape(
            [-1 if i == axis else 1 for i in range(removed.ndim)]
        )
        first, last = np.array(ends).T.reshape(2, -1, *[1] * (removed.ndim - 1))
        expected &= (indices >= first) & (indices <= last)
        bounds[axis] = first.ravel(), last.ravel()
    np.testing.assert_array_equal(removed, expected)  # each a full box, all channels together
    assert torch.equal(corrupted[~torch.from_numpy(removed)], x[~torch.from_numpy(removed)])
    for axis, (first, last) in bounds.items():
        size = removed.shape[axis]
        assert set(last - first + 1) == set(range(round(0.2 * size), round(0.5 * size) + 1))
        assert first.min() == 0
        assert last.max() == size - 1


@pytest.mark.parametrize("sigma", [0.4, 1.5, 3.0])
@pytest.mark.parametrize("shape", [(3, 17, 24), (30,), (2,), (20, 5)], ids=str)
def test_blur_equals_scipy(shape: tuple[int, ...], sigma: float) -> None:
    expected = x = observations(*shape).numpy()
    for axis in (2, 3) if len(shape) == 3 else (1,):  # of sequences along time alone
        expected = gaussian_filter1d(
            expected, sigma, axis, mode="nearest", radius=max(1, int(np.ceil(3 * sigma)))
        )
    np.testing.assert_allclose(
        corrupt("blur", torch.from_numpy(x), sigma=sigma).numpy(), expected, atol=1e-6
    )


def test_greyscale_equals_opencv() -> None:
    x = observations(3, 16, 20)
    grey = corrupt("greyscale", x).numpy()
    for image, before in zip(grey, x.numpy(), strict=True):
        expected = cv2.cvtColor(before.transpose(1, 2, 0), cv2.COLOR_RGB2GRAY)
        np.testing.assert_allclose(image, np.stack([expected] * 3), atol=1e-5)


def test_hue_shift_equals_opencv() -> None:
    x = observations(3, 16, 20)
    x[:, :, 0] = x[:, :1, 0]  # grey pixels
    x[:, :, 1, :3] = torch.eye(3)  # primaries
    x[:, :, 2, 0] = 0.0
    shifted = corrupt("hue_shift", x).numpy()
    turns = torch.rand(len(x), generator=Generator().manual_seed(0))
    for image, before, turn in zip(shifted, x.numpy(), turns.tolist(), strict=True):
        hsv = cv2.cvtColor(before.transpose(1, 2, 0), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + 360 * turn) % 360
        expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).transpose(2, 0, 1)
        np.testing.assert_allclose(image, expected, atol=1e-5)
        np.testing.assert_allclose(image[:, 0], before[:, 0], atol=1e-6)


def test_corruptions_apply_in_order_and_masks_add_up() -> None:
    noise, masking = {"name": "gaussian_noise", "std": 0.1}, {"name": "masking", "fraction": 0.5}
    x = observations(3, 16, 16)
    for specs in ([noise, masking, "cutout"], [masking, "cutout", noise]):
        model = denoising_ae((16, 16, 3), 4, corruption=specs[0], corruptions=specs[1:])
        inputs, mask, _ = model.sample_noise(x, Generator().manual_seed(0))
        assert mask is not None
        # Noise after the masking covers the zeros; the mask still marks them.
        assert torch.equal(inputs == 0, mask.expand_as(x)) == (specs[0] == noise)
        assert 0.5 < float(mask.float().mean()) < 0.8


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"name": "gaussian_noise", "std": 0.0},
            r"std is a standard deviation and must be positive, got 0\.0",
        ),
        (
            {"name": "salt_and_pepper", "fraction": 1.0},
            r"fraction must lie between 0 and 1, got 1\.0",
        ),
        ({"name": "masking", "fraction": 0.0}, r"fraction must lie between 0 and 1, got 0\.0"),
        (
            {"name": "cutout", "smallest": 0.6},
            r"0 < smallest <= largest < 1, got smallest=0\.6, largest=0\.5",
        ),
        (
            {"name": "cutout", "largest": 1.0},
            r"0 < smallest <= largest < 1, got smallest=0\.2, largest=1\.0",
        ),
        (
            {"name": "blur", "sigma": -1.0},
            r"sigma is a standard deviation and must be positive, got -1\.0",
        ),
    ],
)
def test_amounts_are_checked(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CORRUPTIONS.build(spec)


@pytest.mark.parametrize("shape", [(8,), (16, 16, 1), (16, 16)])
def test_greyscale_needs_colour(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match="corruption 'greyscale' needs images of 3 colour channels, not inputs of"
    ):
        denoising_ae(shape, 3, corruption="greyscale")
