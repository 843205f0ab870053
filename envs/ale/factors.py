"""Known factors of some Atari games, from the emulator's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from envs.wrappers import KnownFactors
from latentrl.types import Array

ADDRESSES: Mapping[str, Mapping[str, int]] = {
    "ALE/Pong-v5": {"ball_x": 49, "ball_y": 54, "player_y": 51, "enemy_y": 50},
    "ALE/Breakout-v5": {"ball_x": 99, "ball_y": 101, "player_x": 72},
}
"""Addresses in a game's memory by factor, of AtariARI (Anand et al. 2019, arXiv:1906.08226)."""
ABSENT = 0
"""What the coordinates of the ball are where there is none."""


class MemoryFactors(KnownFactors):
    """Adds ``info["factors"]``: positions in the units of the game's memory, about pixels.

    Those of the ball are NaN, unknown, between two rallies.
    """

    def __init__(self, env: gym.Env[Any, Any], addresses: Mapping[str, int]) -> None:
        """Wrap ``env``, a game of the Arcade Learning Environment.

        Args:
            env: the game.
            addresses: address of each factor in its memory.
        """
        super().__init__(env, tuple(addresses))
        self._addresses = list(addresses.values())
        self._of_ball = np.array([name.startswith("ball") for name in addresses])

    def factors(self) -> Array:
        """Return the factors, float64 ``(F,)``."""
        game: Any = self.unwrapped
        values: Array = game.ale.getRAM()[self._addresses].astype(np.float64)
        if (values[self._of_ball] == ABSENT).any():
            values[self._of_ball] = np.nan
        return values


def with_factors(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Return ``env`` with the factors of its game, or as it is where they are not known."""
    addresses = ADDRESSES.get("" if env.spec is None else env.spec.id)
    return env if addresses is None else MemoryFactors(env, addresses)
