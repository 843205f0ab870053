"""Environments and how to make them; importing this package registers its ids with Gymnasium."""

import gymnasium as gym

from envs.make import Environment, make_env, make_vector
from envs.settings import EnvSettings, settings_for

__all__ = ["EnvSettings", "Environment", "make_env", "make_vector", "settings_for"]


def _register() -> None:
    # CarRacing-v2 left Gymnasium with 1.0; a Gymnasium that still has it keeps its own.
    if "CarRacing-v2" not in gym.registry:
        gym.register(
            "CarRacing-v2",
            entry_point="envs.car_racing:CarRacingV2",
            max_episode_steps=1000,
            reward_threshold=900,
        )
    if "PixelReach-v0" not in gym.registry:
        gym.register("PixelReach-v0", entry_point="envs.pixels:PixelReach", max_episode_steps=20)


_register()
