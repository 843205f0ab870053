"""Family of the Arcade Learning Environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from gymnasium import spaces

from envs.ale.factors import with_factors
from envs.envpool import EnvPoolVectorEnv, refuse_unknown
from envs.families import EnvDefaults, EnvFamily, EnvPoolSupport, register_family
from latentrl.types import Array

FRAME_SKIP, MAX_FRAMES = 4, 108_000
"""Frames per timestep and per episode of Gymnasium's ids of version 5."""


def pool_id(env_id: str) -> str:
    """Return EnvPool's name of a game: ``Pong-v5`` for ``ALE/Pong-v5``."""
    return env_id.removeprefix("ALE/")


def refuse(env_id: str) -> str | None:
    """Return the reason why EnvPool does not serve ``env_id``; None where it does."""
    return refuse_unknown(pool_id(env_id))


class ALEVectorEnv(EnvPoolVectorEnv):
    """EnvPool's Atari games with the raw frames and the rules of Gymnasium's version 5.

    Frames are ``(210, 160, 3)`` uint8. Two things differ: a frame is the pixelwise maximum of the
    last two (Mnih et al. 2015), so that sprites do not flicker, and an episode begins with one
    step of no action.
    """

    pool_id = staticmethod(pool_id)
    options = {
        "img_height": 210,
        "img_width": 160,
        "gray_scale": False,
        "stack_num": 1,
        "noop_max": 1,
        "use_fire_reset": False,
        "repeat_action_probability": 0.25,
    }

    def skipped(self, frame_skip: int) -> tuple[Mapping[str, Any], int]:
        """Return options with which EnvPool skips the frames; 1 is the native frame skip."""
        skip = frame_skip if frame_skip > 1 else FRAME_SKIP
        limit = MAX_FRAMES // skip
        return {**self.options, "frame_skip": skip, "max_episode_steps": limit}, 1

    def observed_space(self) -> spaces.Space[Any]:
        """Return the space of one frame, ``(210, 160, 3)`` uint8."""
        return spaces.Box(0, 255, (210, 160, 3), np.uint8)

    def observe(self, observations: Any) -> Array:
        """Return frames ``(B, 210, 160, 3)`` from ``(B, 3, 210, 160)``."""
        frames = np.empty((len(observations), 210, 160, 3), np.uint8)
        for planes, frame in zip(observations, frames, strict=True):
            cv2.merge(tuple(planes), frame)  # much faster than a strided copy
        return frames


register_family(
    EnvFamily(
        "ale",
        prefixes=("ALE/",),
        defaults=EnvDefaults(native_frame_skip="frameskip"),
        package="ale_py",
        install="latentrl[atari]",
        observe=with_factors,
        envpool=EnvPoolSupport(ALEVectorEnv, refuse),
    )
)
