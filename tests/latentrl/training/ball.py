"""A ball of 2 x 2 pixels on a moving background, which a small latent has no reason to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

import latentrl as lrl

BALL = 2
LENGTH = 50


@dataclass(frozen=True)
class BallFrames:
    """Frames in episodes of 50, the same ones without the ball, and where the ball is."""

    observations: Any
    background: Any
    positions: Any

    @property
    def frames(self) -> lrl.Frames:
        return in_episodes(self.observations)


def in_episodes(observations: Any) -> lrl.Frames:
    space = spaces.Box(0, 255, observations.shape[1:], np.uint8)
    return lrl.Frames(space, [observations], np.arange(len(observations)) // LENGTH)


def ball_frames(count: int, side: int = 32, seed: int = 0) -> BallFrames:
    """Draw waves that drift at a random speed per episode, and a ball that walks at random."""
    rng = np.random.default_rng(seed)
    episodes = -(-count // LENGTH)
    steps = rng.integers(-2, 3, (episodes, LENGTH, 2)).cumsum(1)
    positions = (steps + rng.integers(0, side, (episodes, 1, 2))) % (side - BALL)
    phase = rng.uniform(0, 2 * np.pi, (episodes, 1, 2))
    drift = phase + rng.uniform(-0.5, 0.5, (episodes, 1, 2)) * np.arange(LENGTH)[:, None]
    positions, drift = positions.reshape(-1, 2)[:count], drift.reshape(-1, 2)[:count]
    background = np.stack([_waves(side, angle) for angle in drift])
    observations = background.copy()
    for image, (top, left) in zip(observations, positions, strict=True):
        image[top : top + BALL, left : left + BALL] = 255
    return BallFrames(observations, background, positions)


def _waves(side: int, angle: Any) -> Any:
    axis = np.arange(side) * 2 * np.pi / side
    rows, columns = np.sin(axis + angle[0])[:, None], np.sin(axis + angle[1])
    return np.repeat((90 + 40 * (rows + columns))[..., None], 3, -1).astype(np.uint8)
