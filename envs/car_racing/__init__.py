"""Family of CarRacing-v2 and v3."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import gymnasium as gym
import numpy as np

from envs.car_racing.factors import CarFactors
from envs.car_racing.shaping import CarRacingShaping
from envs.envpool import EnvPoolVectorEnv, refuse_unknown
from envs.families import EnvDefaults, EnvFamily, EnvPoolSupport, register_family

DISCRETE_ACTIONS = np.array(
    [[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]], np.float32
)
"""Steering, gas and brake of Gymnasium's actions: nothing, right, left, gas, brake."""


def own_frames(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Return ``env`` with its own frames, one per timestep, and its factors."""
    return _with_frames(env, "FramesOnce")


def drawn_frames(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Return ``env`` with frames that are drawn faster, and its factors."""
    return _with_frames(env, "DrawnFrames")


def _with_frames(env: gym.Env[Any, Any], wrapper: str) -> gym.Env[Any, Any]:
    # It needs Box2D, and EnvPool does not.
    drawing = importlib.import_module("envs.car_racing.drawing")
    # A variant that draws in a way of its own keeps it.
    return CarFactors(getattr(drawing, wrapper)(env) if drawing.is_original(env) else env)


class CarRacingVectorEnv(EnvPoolVectorEnv):
    """EnvPool's CarRacing, with the discrete actions of Gymnasium's."""

    discrete_actions = DISCRETE_ACTIONS


# Gymnasium 1.0 dropped version 2; one that still has it keeps its own. The class is in a module of
# its own because it needs Box2D at import.
if "CarRacing-v2" not in gym.registry:
    gym.register(
        "CarRacing-v2",
        entry_point="envs.car_racing.v2:CarRacingV2",
        max_episode_steps=1000,
        reward_threshold=900,
    )

register_family(
    EnvFamily(
        "car_racing",
        prefixes=("CarRacing-",),
        defaults=EnvDefaults(frame_skip=4, has_discrete_variant=True),
        observe=own_frames,
        # Without Box2D there is still EnvPool's.
        drawn=drawn_frames if importlib.util.find_spec("Box2D") else None,
        envpool=EnvPoolSupport(CarRacingVectorEnv, refuse_unknown),
        shaping=CarRacingShaping,
    )
)
