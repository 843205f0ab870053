"""Environments and how to make them; importing this package registers its ids with Gymnasium."""

from typing import Any

import gymnasium as gym

from envs.families import EnvDefaults, EnvFamily, defaults_for, family_of
from envs.make import Environment, make_env, make_vector

__all__ = [
    "EnvDefaults",
    "EnvFamily",
    "Environment",
    "defaults_for",
    "family_of",
    "make_env",
    "make_vector",
]


ENVS: dict[str, dict[str, Any]] = {
    "CarRacing-v2": {
        "entry_point": "envs.car_racing:CarRacingV2",
        "max_episode_steps": 1000,
        "reward_threshold": 900,
    },
    "PixelReach-v0": {"entry_point": "envs.pixel_reach:PixelReach", "max_episode_steps": 20},
    "KeyRooms-v0": {"entry_point": "envs.key_rooms:KeyRooms"},
    "KeyRoomsNoisyTV-v0": {"entry_point": "envs.key_rooms:KeyRooms", "kwargs": {"noisy_tv": True}},
    "KeyRoomsProcedural-v0": {
        "entry_point": "envs.key_rooms:KeyRooms",
        "kwargs": {"layouts": None},
    },
}

for _id, _spec in ENVS.items():
    if (
        _id not in gym.registry
    ):  # CarRacing-v2 left Gymnasium with 1.0; one that still has it keeps its own
        gym.register(_id, **_spec)
