"""Small problems: an environment whose frames name their step, a model, and flags of scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

import latentrl as lrl
from agents.runs import env_folder
from envs.families import EnvDefaults, EnvFamily, register_family
from latentrl.types import Array

SIDE = 16
EPISODE = 9
"""Steps of an episode of ``Counting``."""
FRAMES = 96
REACH = "PixelReach-v0"
COUNTING = "Counting-v0"
LATENTS = 4
BACKBONE = {"name": "conv", "channels": (4, 4), "hidden": 16}
ON_POLICY = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
OFF_POLICY = {
    "buffer_size": 300,
    "learning_starts": 20,
    "batch_size": 8,
    "gradient_steps": 1,
    "policy_kwargs": {"net_arch": [8]},
}
ALGORITHMS = {"ppo": ON_POLICY, "dqn": OFF_POLICY}
"""Hyperparameters that make algorithms small, one algorithm of each kind."""


class Counting(gym.Env[Array, Any]):
    """Frames that hold the number of their step, so that a frame and its record can be compared."""

    def __init__(self) -> None:
        """Make an environment with episodes of ``EPISODE`` steps."""
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self.action_space = spaces.Discrete(2)
        self._time = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start at step 0, with noise that belongs to the episode."""
        super().reset(seed=seed)
        self._time = 0
        return self._frame(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Count one step; the reward is its number."""
        self._time += 1
        return self._frame(), float(self._time), self._time == EPISODE, False, {}

    def _frame(self) -> Array:
        frame = self.np_random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        frame[0, 0] = self._time
        return frame


def register_counting() -> str:
    """Register ``Counting`` in this process, as an id of a family of its own; return the id."""
    if COUNTING not in gym.registry:
        gym.register(COUNTING, entry_point=f"{__name__}:Counting")
        defaults = EnvDefaults(size=None, workers=False)
        register_family(EnvFamily("counting", prefixes=("Counting-",), defaults=defaults))
    return COUNTING


def check_counting(frames: lrl.Frames) -> None:
    """Compare every frame of ``Counting`` with its record.

    Raises:
        ValueError: a frame is beside the record of another one.
    """
    steps, times = frames.steps, frames[:][:, 0, 0, 0].astype(int)
    final = times == EPISODE
    right = np.where(final, steps["final"], steps["reward"] == times + 1)
    if not right.all() or not (frames.times == times).all():
        raise ValueError(f"frame {int(np.argmin(right))} is beside the record of another one")


def noise_images(count: int = FRAMES, seed: int = 0) -> Array:
    """Return images of noise, ``(count, SIDE, SIDE, 3)`` uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def small_model() -> lrl.Autoencoder:
    """Return a beta-VAE of such images with fresh weights of seed 0."""
    import torch

    torch.manual_seed(0)
    return lrl.beta_vae((SIDE, SIDE, 3), LATENTS, beta=0.01, backbone=BACKBONE)


def fit_config(**changes: Any) -> lrl.FitConfig:
    """Return the hyperparameters of a fit of few steps; ``changes`` replace some."""
    defaults = {"epochs": 3, "batch_size": 16, "precision": "float32", "device": "cpu"}
    return lrl.FitConfig(**{**defaults, **changes})


def save_reach_encoder(folder: Path | None = None) -> Path:
    """Save an encoder of ``PixelReach-v0`` where its runs are, or in ``folder``."""
    import torch

    torch.manual_seed(0)
    path = folder or env_folder("vae", REACH) / "random-1"
    return lrl.save(lrl.random((32, 32, 3), latent_dim=LATENTS).eval(), path)


def train_flags(algorithm: str, **flags: Any) -> list[str]:
    """Return the flags of ``train_agent.py`` for a small agent; ``flags`` add to them."""
    given = {
        "env": REACH,
        "n-envs": 2,
        "eval-every": 64,
        "eval-episodes": 1,
        "backend": "gymnasium",
        **flags,
    }
    values = [f"{name}:{json.dumps(value)}" for name, value in ALGORITHMS[algorithm].items()]
    words = ["--algo", algorithm, "--hyperparams", *values]
    return words + _words(given)


PRETRAIN_FRAMES = 160


def pretrain_flags(**flags: Any) -> list[str]:
    """Return the flags of ``pretrain_vae.py`` for a small encoder of ``Counting``."""
    defaults = {"frames": PRETRAIN_FRAMES, "batch-size": 16, "latent-dim": LATENTS}
    network = {"option": "backbone={name: conv, channels: [4, 4], hidden: 16}"}
    place = {"env": register_counting(), "backend": "gymnasium", "device": "cpu"}
    return _words({**defaults, **network, **place, **flags})


def _words(flags: Mapping[str, Any]) -> list[str]:
    return [word for name, value in flags.items() for word in (f"--{name}", str(value))]
