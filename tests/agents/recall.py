"""An environment that shows its goal once, for agents with a memory."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

LENGTH = 5
"""Timesteps of an episode."""


class Recall(gym.Env):
    """The first frame is dark or bright, and the last action says which it was.

    All other frames are alike: no policy without memory has a mean return above 0.
    """

    observation_space = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time, self.goal = 0, int(self.np_random.integers(2))
        return self._frame(50 + 150 * self.goal), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        ended = self.time == LENGTH
        reward = float(2 * (action == self.goal) - 1) if ended else 0.0
        return self._frame(120), reward, ended, False, {}

    def _frame(self, grey: int) -> Any:
        return np.full((16, 16, 1), grey, np.uint8)
