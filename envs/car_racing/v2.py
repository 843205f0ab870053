"""CarRacing-v2: version 3 of Gymnasium with the older end of a lap."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.box2d.car_racing import CarRacing

from latentrl.types import Array


class CarRacingV2(CarRacing):
    """CarRacing in which a finished lap truncates the episode; in v3 it terminates it."""

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Step as version 3 does, with the end of a lap as a truncation."""
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated and info.get("lap_finished"):
            terminated, truncated = False, True
        return observation, float(reward), terminated, truncated, info
