"""The encoder that is chosen from frames, beside measurements in NumPy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.frames import Frames
from latentrl.models import beta_vae
from latentrl.training.choice import cell_error, change_fraction, choose

PLAIN = lrl.Preprocessing()


class Wide(gym.Env[Any, Any]):
    """Noise in images of 20 x 40 pixels."""

    observation_space = spaces.Box(0, 255, (20, 40, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.integers(0, 255, (20, 40, 3), np.uint8), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.np_random.integers(0, 255, (20, 40, 3), np.uint8), 0.0, False, False, {}


def frames_with(moving: int, side: int = 64, count: int = 30) -> Frames:
    """One episode in which the first ``moving`` rows of each image alternate."""
    images = np.full((count, side, side, 3), 100, np.uint8)
    images[::2, :moving] = 180
    return Frames(spaces.Box(0, 255, images.shape[1:], np.uint8), [images], np.zeros(count, int))


@pytest.mark.parametrize("moving", [1, 8, 64])
def test_the_fraction_of_changing_pixels(moving: int) -> None:
    frames = frames_with(moving)
    images = frames[:].astype(int)
    differs = (np.abs(np.diff(images, axis=0)) > 0.02 * 255).any(-1)
    expected = differs.sum() / (len(frames) * 64 * 64)  # the first frame changes nothing
    assert change_fraction(frames, PLAIN) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(64, 64, 3), (56, 80)])
def test_the_error_of_linear_features_is_that_of_a_principal_component_analysis(
    shape: tuple[int, ...],
) -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, *shape), np.uint8)
    frames = Frames(spaces.Box(0, 255, shape, np.uint8), [images], np.zeros(60, int))
    rows, columns, *channels = shape
    split = (60, rows // 8, 8, columns // 8, 8, math.prod(channels))
    cells = (images / 255).reshape(split).transpose(1, 3, 0, 2, 4, 5)
    values = (cells - cells.mean(2, keepdims=True)).reshape(-1, 64 * split[-1])
    _, sizes, _ = np.linalg.svd(values, full_matrices=False)
    expected = (sizes[4:] ** 2).sum() / values.size
    assert cell_error(frames, PLAIN) == pytest.approx(expected, rel=1e-4)


def test_images_with_many_details_get_more_channels() -> None:
    rng = np.random.default_rng(0)
    noise, plain = rng.integers(0, 255, (20, 64, 64, 3), np.uint8), np.zeros((20, 64, 64, 3))
    plain[:] = rng.integers(0, 255, (20, 1, 1, 1))  # one colour for all of a frame
    reasons = [choose(images.astype(np.uint8)).reason for images in (noise, plain)]
    assert reasons[0].endswith("8 x 8 cells of 8 values, because images have many details")
    assert reasons[1].endswith("8 x 8 cells of 4 values")


def test_the_size_of_stored_frames_is_the_default(tmp_path: Path) -> None:
    preprocessing = lrl.Preprocessing(size=(16, 16))
    frames = lrl.collect(Wide, 20, tmp_path, n_envs=1, preprocessing=preprocessing, progress=False)
    chosen = choose(frames).arguments
    assert chosen == {**choose(frames, preprocessing).arguments, "preprocessing": preprocessing}
    model = beta_vae(frames.observation_space, **chosen)
    assert model.latent_layout.grid == (8, 8)


def test_arrays_are_frames() -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 16, 16, 3), np.uint8)
    assert choose(images) == choose(lrl.as_frames(images))


def test_episodes_of_an_array_have_an_order() -> None:
    frames = frames_with(2)
    ordered = lrl.as_frames(frames[:], episodes=np.zeros(len(frames), int))
    assert choose(ordered) == choose(frames)


@pytest.mark.parametrize(
    ("moving", "latent_dim", "weight"), [(2, 256, 33.1), (64, 512, 1.0), (0, 256, None)]
)
def test_rare_changes_weigh_more_and_busy_images_get_more_channels(
    moving: int, latent_dim: int, weight: Any
) -> None:
    choice = choose(frames_with(moving), PLAIN)
    assert choice.arguments["latent_dim"] == latent_dim
    assert choice.arguments.get("change_weight") == weight
    assert choice.arguments["topk_weight"] == 4
    model = beta_vae((64, 64, 3), **choice.arguments)
    assert model.latent_layout.grid == (8, 8)


def test_the_reason_names_measurements_and_consequences() -> None:
    reason = choose(frames_with(2), PLAIN).reason
    assert reason == (
        "3 % of the pixels change in a step: 8 x 8 cells of 4 values, and changing pixels weigh "
        "34.1 times as much as others"
    )


def test_the_grid_is_that_of_the_resized_image() -> None:
    choice = choose(frames_with(4, side=120), lrl.Preprocessing(size=(32, 32)))
    assert choice.arguments["latent_dim"] == 4 * 64


def test_frames_without_an_order() -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), np.uint8)
    choice = choose(lrl.as_frames(images), PLAIN)
    assert "no pixel is known to change in a step" in choice.reason
    assert "change_weight" not in choice.arguments


def test_a_latent_is_no_larger_than_a_small_grey_image() -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 9, 13), np.uint8)
    frames = Frames(spaces.Box(0, 255, (9, 13), np.uint8), [images], np.zeros(20, int))
    chosen = choose(frames).arguments
    assert chosen["latent_dim"] == 4 * 4 * 6  # of 117 pixels
    assert beta_vae(frames.observation_space, **chosen).latent_dim == 96


def test_only_fit_warns_of_a_range_of_the_data() -> None:
    images = np.random.default_rng(0).integers(0, 10, (20, 16, 16, 3), np.uint8)
    frames = Frames(spaces.Box(0, 255, (16, 16, 3), np.uint8), [images], np.zeros(20, int))
    assert change_fraction(frames, PLAIN) > 0.5


def test_vectors_are_not_chosen_for() -> None:
    with pytest.raises(ValueError, match=r"choose is for images; these .* \(8,\) float32: give"):
        choose(np.zeros((20, 8), np.float32))
