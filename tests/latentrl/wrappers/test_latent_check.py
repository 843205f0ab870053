"""Encoders of one's own: what they return is checked on every step, in all kinds of wrappers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import latentrl as lrl
from latentrl.wrappers.latent_cache import LatentCache
from tests.helpers import Clock

HOSTS = {
    "single": Clock,
    "vector": lambda: SyncVectorEnv([Clock] * 3),
    "sb3": lambda: DummyVecEnv([Clock] * 3),
}
LARGER = {
    "single": lambda: Clock(side=8),
    "vector": lambda: SyncVectorEnv([lambda: Clock(side=8)] * 3),
    "sb3": lambda: DummyVecEnv([lambda: Clock(side=8)] * 3),
}
EVERY_HOST = pytest.mark.parametrize("host", HOSTS)


class Own:
    """Encoder whose ``encode`` is the given function of one value for each frame."""

    def __init__(self, function: Any, space: Any = None) -> None:
        self.function = function
        self.latent_space = spaces.Box(-9e9, 9e9, (2,), np.float32) if space is None else space

    def encode(self, frames: Any) -> Any:
        return self.function(np.repeat(frames.reshape(len(frames), -1)[:, :1], 2, 1) / 4)


@EVERY_HOST
def test_a_model_that_was_never_fitted_gives_one_warning(host: str) -> None:
    model = lrl.pca((8, 8, 3), latent_dim=2)
    message = r"expected a fitted encoder, got the 'pca' model .* fit it with FitConfig\(steps=0\)"
    with pytest.warns(UserWarning, match=message) as caught:
        lrl.wrap(LARGER[host](), model)
    assert [warning.filename for warning in caught] == [__file__]


@EVERY_HOST
def test_encoders_that_are_as_they_are_on_purpose_give_no_warning(
    host: str, tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    kept = lrl.ae((8, 8, 3), 2, backbone={"name": "mlp", "hidden": (4,)})
    lrl.fit(kept, frames, lrl.FitConfig(steps=0), progress=False)
    untrained = lrl.ae((8, 8, 3), 2, backbone={"name": "mlp", "hidden": (4,)})
    saved = lrl.save(untrained, tmp_path / "untrained")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for encoder in (kept, lrl.random((8, 8, 3), 2), lrl.load(saved), saved):
            lrl.wrap(LARGER[host](), encoder)


def first(host: str, encoder: Any) -> Any:
    result = lrl.wrap(HOSTS[host](), encoder).reset()
    return result[0] if isinstance(result, tuple) else result


@EVERY_HOST
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z[:, :1], r"must return latents of shape \((1|3), 2\) .*, got shape \(\d, 1\)"),
        (lambda z: z[0], r"must return latents of shape \((1|3), 2\) .*, got shape \(2,\)"),
        (lambda z: z[:0], r"must return latents of shape .*, got shape \(0, 2\)"),
        (lambda z: None, r"must return latents of shape .*, got shape \(\)"),
        (lambda z: z * np.nan, "returned NaN or infinity"),
        (lambda z: z + np.inf, "returned NaN or infinity"),
    ],
)
def test_wrong_latents_are_refused_with_the_class(host: str, function: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"Own.encode {message}"):
        first(host, Own(function))


@EVERY_HOST
def test_a_late_nan_is_found(host: str) -> None:
    calls = []
    env = lrl.wrap(HOSTS[host](), Own(lambda z: calls.append(0) or z / (len(calls) != 5)))
    env.reset()
    actions = 0 if host == "single" else np.zeros(3, int)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=r"Own\.encode returned NaN or infinity"),
    ):
        for _ in range(9):
            env.step(actions)
    assert len(calls) == 5


@EVERY_HOST
@pytest.mark.parametrize("kind", [np.float64, np.int64, np.float16, list, torch.as_tensor])
def test_other_types_are_cast(host: str, kind: Any) -> None:
    cast = {list: np.ndarray.tolist, torch.as_tensor: torch.as_tensor}
    latents = first(host, Own(cast.get(kind, lambda z: z.astype(kind))))
    assert isinstance(latents, np.ndarray)
    assert latents.dtype == np.float32


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "returned NaN or infinity"),
        (1.7, "returned float64, its latent_space declares int"),
    ],
)
def test_fractions_are_no_whole_numbers(value: float, message: str) -> None:
    space = spaces.Box(0, 9, (2,), np.int64)
    with pytest.raises(ValueError, match=rf"Own\.encode {message}"):
        first("vector", Own(lambda z: np.full(z.shape, value), space))


def test_a_module_with_one_row_for_all_frames_is_named() -> None:
    class Flat(torch.nn.Module):
        latent_space = spaces.Box(-1, 1, (2,), np.float32)

        def encode(self, frames: Any) -> Any:
            return np.zeros((1, 2), np.float32)

    frames = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    with pytest.raises(ValueError, match=r"Flat.encode must return latents of shape \(3, 2\)"):
        LatentCache().encode(Flat(), frames)


@EVERY_HOST
@pytest.mark.parametrize("space", [(2,), spaces.Discrete(2)], ids=str)
def test_a_latent_space_is_a_box(host: str, space: Any) -> None:
    with pytest.raises(TypeError, match=r"Own\.latent_space must be a gymnasium Box, got"):
        lrl.wrap(HOSTS[host](), Own(lambda z: z, space))


def test_a_class_is_no_encoder() -> None:
    class Fixed:
        latent_space = spaces.Box(-1, 1, (2,), np.float32)

        def encode(self, frames: Any) -> Any:
            return frames

    env: gym.Env[Any, Any] = Clock()
    with pytest.raises(TypeError, match=r"an object, not the class Fixed: make one, Fixed\(...\)"):
        lrl.wrap(env, Fixed)  # type: ignore[call-overload]
