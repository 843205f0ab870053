"""MiniGrid's views enlarged and shifted, so that no cell lies on a grid of 8 by 8 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space

from envs import minigrid
from envs.families import EnvDefaults, EnvFamily, EnvMaker, EnvPoolSupport, register_family
from envs.minigrid.vector import DrawnVectorEnv, MiniGridVectorEnv, cell_makers, pixel_view
from latentrl.types import Array

SIDE, SHIFT = 84, 3
"""Side of an image and its shift to the right and down, in pixels."""
SPACE = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
LEVELS = (
    *("Empty-8x8", "DoorKey-5x5", "DoorKey-6x6", "DoorKey-8x8"),
    *("MultiRoom-N6", "KeyCorridorS3R3"),
)


def shifted(frames: Array) -> Array:
    """Return ``(B, 84, 84, 3)`` images of ``(B, 56, 56, 3)`` frames; the border repeats pixels."""
    larger = (cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for frame in frames)
    place = (SHIFT, 0, SHIFT, 0)
    whole = (cv2.copyMakeBorder(image, *place, cv2.BORDER_REPLICATE) for image in larger)
    return np.stack([image[:SIDE, :SIDE] for image in whole])


def minigrid_id(env_id: str) -> str:
    """Return MiniGrid's own id of a shifted one."""
    return env_id.replace("MiniGridShifted-", "MiniGrid-")


def refuse(env_id: str) -> str | None:
    """Return the reason why EnvPool does not serve ``env_id``; None where it does."""
    return minigrid.refuse(minigrid_id(env_id))


def make_level(env_id: str, **options: Any) -> gym.Env[Any, Any]:
    """Make MiniGrid's environment ``env_id``, whose observations ``shifted_view`` replaces."""
    return gym.make(env_id, **options)


def shifted_view(env: gym.Env[Any, Any]) -> gym.Env[Array, Any]:
    """Return ``env`` with the shifted view as ``(84, 84, 3)`` uint8 images."""
    return gym.wrappers.TransformObservation(
        pixel_view(env), lambda frame: shifted(frame[None])[0], SPACE
    )


def shifted_vector(makers: Sequence[EnvMaker]) -> ShiftedVectorEnv:
    """Return the vector environment of ``makers`` with the images of ``shifted_view``."""
    return ShiftedVectorEnv(
        SyncVectorEnv(cell_makers(makers), autoreset_mode=AutoresetMode.SAME_STEP)
    )


class ShiftedVectorEnv(DrawnVectorEnv):
    """MiniGrid's own environments with the images of ``shifted_view``."""

    def __init__(self, envs: SyncVectorEnv) -> None:
        """Draw the cells of ``envs``; arguments as of ``DrawnVectorEnv``."""
        super().__init__(envs)
        self.single_observation_space = SPACE
        self.observation_space = batch_space(SPACE, envs.num_envs)

    def draw(self, cells: Array) -> Array:
        """Draw ``(B, 7, 7)`` cells as shifted images."""
        return shifted(super().draw(cells))


class ShiftedEnvPool(MiniGridVectorEnv):
    """EnvPool's MiniGrid with the images of ``shifted_view``."""

    pool_id = staticmethod(minigrid_id)

    def observed_space(self) -> spaces.Space[Any]:
        """Return the space of one image, ``(84, 84, 3)`` uint8."""
        return SPACE

    def observe(self, observations: Any) -> Array:
        """Draw the symbolic views ``(B, 7, 7, 3)`` as shifted images."""
        return shifted(super().observe(observations))


for level in LEVELS:
    gym.register(
        f"MiniGridShifted-{level}-v0",
        entry_point="envs.minigrid_shifted:make_level",
        kwargs={"env_id": f"MiniGrid-{level}-v0"},
    )

register_family(
    EnvFamily(
        "minigrid_shifted",
        prefixes=("MiniGridShifted-",),
        # The general defaults, except that a step costs less than a pipe.
        defaults=EnvDefaults(workers=False),
        package="minigrid",
        install="latentrl[minigrid]",
        observe=shifted_view,
        vector=shifted_vector,
        envpool=EnvPoolSupport(ShiftedEnvPool, refuse),
    )
)
