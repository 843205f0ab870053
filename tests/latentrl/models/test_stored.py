"""Frames that are stored cropped and resized: smaller files, and the same bits in the network."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.models.preprocessing import ImagePreprocessor

SMALL = lrl.Preprocessing(crop=(2, 6, 0, 4), size=(16, 20))
SPACES = {
    "colour": spaces.Box(0, 255, (40, 48, 3), np.uint8),
    "grey": spaces.Box(0, 255, (40, 48), np.uint8),
    "float": spaces.Box(-1.0, 1.0, (40, 48, 4), np.float32),
    "cropped": spaces.Box(0, 255, (24, 24, 3), np.uint8),
}
CONFIGS = {
    "colour": SMALL,
    "grey": SMALL,
    "float": SMALL,
    "cropped": lrl.Preprocessing(crop=(8, 0, 0, 0), greyscale=True),
}


class Screen(gym.Env[Any, Any]):
    """Noise; episodes of seven steps."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Box) -> None:
        self.observation_space = space

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self._draw(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self._draw(), 1.0, self.time == 7, False, {}

    def _draw(self) -> Any:
        space = self.observation_space
        values = self.np_random.uniform(space.low.min(), space.high.max(), space.shape)
        return values.astype(space.dtype)


def collected(kind: str, folder: Any, **options: Any) -> lrl.Frames:
    make = lambda: Screen(SPACES[kind])  # noqa: E731
    return lrl.collect(make, 60, folder, n_envs=1, policy="random", progress=False, **options)


@pytest.mark.parametrize("kind", SPACES)
def test_the_network_sees_the_same_bits(kind: str, tmp_path: Any) -> None:
    config = CONFIGS[kind]
    original = collected(kind, tmp_path / "original")
    stored = collected(kind, tmp_path / "stored", preprocessing=config)
    assert stored.observation_space == original.space == original.observation_space
    assert np.prod(stored.space.shape) < np.prod(original.space.shape)
    assert stored.space.dtype == original.space.dtype
    preprocess = ImagePreprocessor(original.space, config)
    expected, got = (preprocess(torch.from_numpy(frames[:])) for frames in (original, stored))
    assert torch.equal(expected, got)
    np.testing.assert_array_equal(stored.steps, original.steps)
    sizes = [
        sum(file.stat().st_size for file in (tmp_path / name).glob("*observations*"))
        for name in ("stored", "original")
    ]
    assert sizes[0] / sizes[1] == np.prod(stored.space.shape) / np.prod(original.space.shape)


def test_a_model_of_the_environment_learns_from_stored_frames(tmp_path: Any) -> None:
    models = []
    for name, options in (("original", {}), ("stored", {"preprocessing": SMALL})):
        frames = collected("colour", tmp_path / name, **options)
        model = lrl.pca(frames.observation_space, latent_dim=4, preprocessing=SMALL)
        lrl.fit(model, frames, progress=False)
        models.append(model)
    assert models[0].config == models[1].config
    original = lrl.Frames.open(tmp_path / "original")[:]
    stored = lrl.Frames.open(tmp_path / "stored")[:]
    for model in models:
        latents = model.encode(original)
        np.testing.assert_array_equal(latents, models[0].encode(stored))
        np.testing.assert_array_equal(model.encode(stored[3]), model.encode(original[3]))
        np.testing.assert_array_equal(model.reconstruct(stored), model.reconstruct(original))
        np.testing.assert_array_equal(model.preprocessed(stored), stored)


def test_frames_of_another_preprocessing_are_refused(tmp_path: Any) -> None:
    frames = collected("colour", tmp_path, preprocessing=SMALL)
    for changes, message in (
        ({"crop": (2, 6, 0, 2), "size": (16, 20)}, r"has crop=\[2, 6, 0, 4\], the call has crop="),
        ({"crop": SMALL.crop, "size": (16, 16)}, r"size=\[16, 20\], .* size=\[16, 16\]: build the"),
    ):
        model = lrl.pca(frames.observation_space, 4, preprocessing=lrl.Preprocessing(**changes))
        with pytest.raises(ValueError, match=message):
            lrl.fit(model, frames, progress=False)
    with pytest.raises(ValueError, match=r"takes observations of \(16, 20, 3\)"):
        lrl.fit(lrl.pca(frames.space, 4), frames, progress=False)
    with pytest.raises(ValueError, match=r"environment\.stored\.crop=\[2, 6, 0, 4\], the call has"):
        collected("colour", tmp_path)
    with pytest.raises(ValueError, match=r"environment\.stored\.size"):
        changed = lrl.Preprocessing(SMALL.crop, (20, 16))
        collected("colour", tmp_path, preprocessing=changed)


def test_frames_that_would_not_shrink_are_stored_as_they_are(tmp_path: Any) -> None:
    config = lrl.Preprocessing(crop=(4, 4, 4, 4), size=(64, 64))
    frames = collected("colour", tmp_path, preprocessing=config)
    assert frames.space == frames.observation_space == SPACES["colour"]
    assert "stored" not in json.loads((tmp_path / "manifest.json").read_text())["environment"]
