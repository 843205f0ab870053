"""Shaping of an environment family, added to the rewards that an agent learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper

from latentrl.types import Array


class AddShaping(VecEnvWrapper):
    """Adds ``info["shaping"]`` to the rewards, outside the monitor of extrinsic returns."""

    def reset(self) -> Any:
        """Reset all environments."""
        return self.venv.reset()

    def step_wait(self) -> tuple[Any, Array, Array, list[dict[str, Any]]]:
        """Finish the step and add what the family's shaping says of it."""
        observations, rewards, dones, infos = self.venv.step_wait()
        shaping = np.array([info["shaping"] for info in infos], np.float32)
        return observations, rewards + shaping, dones, infos
