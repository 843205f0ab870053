"""Ranges of the channels of images: declared ones, infinite ones, and ones that are too wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.models.preprocessing import Preprocessing, make_preprocessor

SHORT = lrl.FitConfig(steps=20, batch_size=16, device="cpu", precision="float32")
MLP = {"name": "mlp", "hidden": (64,)}
RNG = np.random.default_rng(0)


def rgbd(dtype: Any = np.float32) -> spaces.Box:
    """Colours in 0..255 and depth in -2..10."""
    low, high = (
        np.tile(np.array(b, dtype), (16, 12, 1)) for b in ([0, 0, 0, -2], [255] * 3 + [10])
    )
    return spaces.Box(low, high, dtype=dtype)


def rgbd_images(count: int) -> Any:
    low, high = np.array([0, 0, 0, -2]), np.array([255, 255, 255, 10])
    return RNG.uniform(low, high, (count, 16, 12, 4)).astype(np.float32)


def fitted(space: spaces.Box, images: Any) -> Any:
    preprocess = make_preprocessor(space, Preprocessing())
    preprocess.fit(images)
    return preprocess


def narrow(space: spaces.Box, images: Any, found: str) -> Any:
    with pytest.warns(UserWarning, match=f"the images use {found}, less than a tenth of"):
        return fitted(space, images)


def test_each_channel_is_scaled_by_its_own_bounds() -> None:
    images = rgbd_images(8)
    preprocess = fitted(rgbd(), images)
    x = preprocess(torch.from_numpy(images))
    expected = (images - [0, 0, 0, -2]) / [255, 255, 255, 12]
    np.testing.assert_allclose(x.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)
    np.testing.assert_allclose(preprocess.inverse(x).numpy(), images, atol=1e-4)
    assert preprocess.output_space == rgbd()


def test_depth_of_a_hundredth_of_the_colours_survives_a_model(tmp_path: Path) -> None:
    images = rgbd_images(40)
    images[..., 3] = np.linspace(-2, 10, 40)[:, None, None]
    images[..., :3] = 128
    model = lrl.pca(rgbd(), latent_dim=2)
    lrl.fit(model, images, SHORT, progress=False)
    loaded = lrl.load(lrl.save(model, tmp_path / "model"))
    assert loaded.observation_space == rgbd()
    np.testing.assert_allclose(loaded.reconstruct(images)[..., 3], images[..., 3], atol=0.05)


def test_greyscale_images_return_to_the_range_of_their_colours() -> None:
    preprocess = make_preprocessor(
        spaces.Box(-1, 3, (16, 16, 3), np.float32), Preprocessing(greyscale=True)
    )
    images = RNG.uniform(-1, 3, (2, 16, 16, 3)).astype(np.float32)
    grey = preprocess.inverse(preprocess(torch.from_numpy(images))).numpy()
    np.testing.assert_allclose(grey[..., 0], images @ [0.299, 0.587, 0.114], atol=1e-5)
    assert preprocess.output_space == spaces.Box(-1, 3, (16, 16, 1), np.float32)


def test_depth_that_uses_a_sliver_of_16_bits_is_scaled_by_the_data() -> None:
    depth = RNG.integers(1000, 2501, (6, 20, 16), dtype=np.uint16)
    depth[0, 0, :2] = 1000, 2500
    space = spaces.Box(0, 65535, (20, 16), np.uint16)
    preprocess = narrow(space, depth, "1000 to 2500")
    x = preprocess(torch.from_numpy(depth))
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(preprocess.inverse(x).numpy(), depth)
    assert preprocess.output_space == spaces.Box(1000, 2500, (20, 16), np.uint16)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_masks_of_0_and_1_in_uint8_are_learned(likelihood: str, tmp_path: Path) -> None:
    rows = np.arange(16)[:, None]
    masks = np.repeat((rows < RNG.integers(3, 13, 250)).T[:, :, None], 16, 2).astype(np.uint8)
    model = lrl.vae((16, 16), latent_dim=2, likelihood=likelihood, backbone=MLP)
    config = lrl.FitConfig(steps=120, batch_size=64, learning_rate=1e-2, precision="float32")
    with pytest.warns(UserWarning, match=r"use 0 to 1, less than a tenth of the declared .* 255"):
        lrl.fit(model, masks, config, progress=False)
    restored = lrl.load(lrl.save(model, tmp_path / "model")).reconstruct(masks)
    assert restored.dtype == np.uint8
    assert (restored == masks).mean() > 0.95


def test_one_narrow_channel_of_several_is_named() -> None:
    images = RNG.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    images[..., 1] = 100 + images[..., 1] // 32
    preprocess = narrow(
        spaces.Box(0, 255, (16, 16, 3), np.uint8), images, "100 to 107 in channel 1"
    )
    assert preprocess.low.tolist() == [0, 100, 0]
    assert preprocess.high.tolist() == [255, 107, 255]


def test_a_constant_channel_keeps_the_declared_range() -> None:
    images = RNG.integers(0, 256, (4, 16, 16, 4), dtype=np.uint8)
    images[..., 3] = 255  # opaque
    preprocess = fitted(spaces.Box(0, 255, (16, 16, 4), np.uint8), images)
    assert preprocess.low.tolist() == [0] * 4
    assert preprocess.high.tolist() == [255] * 4


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, np.inf), (-np.inf, 50)])
def test_infinite_bounds_are_replaced_by_the_range_of_the_data(bounds: Any) -> None:
    images = RNG.uniform(3, 40, (4, 16, 16, 2)).astype(np.float32)
    preprocess = narrow(
        spaces.Box(*bounds, (16, 16, 2), np.float32), images, ".* to .* in channel 0"
    )
    np.testing.assert_allclose(preprocess.low, images.min((0, 1, 2)))
    np.testing.assert_allclose(preprocess.high, images.max((0, 1, 2)))


def test_a_wider_range_than_that_of_the_data_still_shows() -> None:
    images = RNG.uniform(0, 1, (8, 16, 16, 1)).astype(np.float32)
    space = spaces.Box(-np.inf, np.inf, (16, 16, 1), np.float32)
    preprocess = narrow(space, images, ".* to .*")
    assert preprocess(torch.full((1, 16, 16, 1), 5.0)).min() > 4


def test_images_within_their_bounds_get_no_warning() -> None:
    images = RNG.integers(0, 27, (4, 16, 16, 3), dtype=np.uint8)  # more than a tenth of 255
    images[0, 0, 0] = 26
    assert fitted(spaces.Box(0, 255, (16, 16, 3), np.uint8), images).high.tolist() == [255] * 3


def twelve_bits(hot: int) -> Any:
    """16-bit images with values of 12 bits, and a few hot pixels."""
    images = RNG.integers(200, 4096, (20, 16, 16, 2), dtype=np.uint16)
    images[RNG.integers(20, size=hot), 3, 5, 1] = 65535
    return images


def test_a_few_hot_pixels_that_set_the_range_are_named() -> None:
    space = spaces.Box(0, 65535, (16, 16, 2), np.uint16)
    message = (
        r"nearly all values of the images use 2\d\d to 4\d{3} in channel 1, less than a tenth of "
        r"the range 0 to 65535 by which they are scaled, and a few reach 65535: .* "
        r"np.clip\(images, 2\d\d, 4\d{3}\)"
    )
    images = twelve_bits(hot=2)
    images[..., 0] = RNG.integers(0, 65536, (20, 16, 16))
    with pytest.warns(UserWarning, match=message):
        assert fitted(space, images).high.tolist() == [65535, 65535]


@pytest.mark.parametrize("hot", [0, 400])
def test_other_bright_pixels_are_not_named(hot: int) -> None:
    images = RNG.integers(0, 65536 if hot == 0 else 4096, (20, 16, 16), dtype=np.uint16)
    images.reshape(20, -1)[:, : hot // 20] = 65535
    fitted(spaces.Box(0, 65535, (16, 16), np.uint16), images)


def test_a_bright_ball_of_8_bits_is_no_fault() -> None:
    images = RNG.integers(0, 20, (400, 16, 16), dtype=np.uint8)
    images[0, 3, 3] = 255
    fitted(spaces.Box(0, 255, (16, 16), np.uint8), images)


def test_reconstructions_of_values_beyond_the_own_range_warn() -> None:
    depth = RNG.integers(1000, 2501, (40, 16, 16), dtype=np.uint16)
    model = lrl.pca(lrl.as_frames(depth).space, latent_dim=2)
    with pytest.warns(UserWarning, match="less than a tenth of the declared range"):
        lrl.fit(model, depth, SHORT, progress=False)
    model.reconstruct(depth)
    model.reconstruct(depth[0] + 100)
    message = "values from .* to 42.., and the model scales by the range 1000 to 2500 of the images"
    for beyond in (depth + 1700, depth[-1] + 1700):
        beyond.flat[0] = 4200
        with pytest.warns(UserWarning, match=message):
            assert model.reconstruct(beyond).max() <= 2500
