"""Training-only shaping of CarRacing's rewards, read from the frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from envs.shaping import Shaping
from latentrl.types import Array

GRASS, SWITCH = 0.05, 0.01
"""Penalties per frame: for a wheel on the grass at speed 100, and for an action that changes."""
WHEELS = np.ix_((67, 76), (44, 52))
"""Rows and columns beside the four wheels, once the camera has come down."""
SPEED_ROWS, SPEED_COLUMN = slice(84, 96), 13
"""Pixels of the indicator's white bar, which shows the speed."""
SPEED_SLOPE, SPEED_OFFSET = 21.0, -3.6
"""Speed per pixel of the bar's height, by least squares on the simulator's speed (r .999)."""
GREENER = 40
"""Grey levels by which grass, and the mud of skid marks on it, is greener than blue."""


class CarRacingShaping(Shaping):
    """Penalties for wheels on the grass, in proportion to the speed, and for jerky actions.

    Frames are those of 96 by 96 pixels in the default colours. An episode ends after 50 frames with
    all wheels on the grass.
    """

    patience = 50
    ending = -25.0

    def __init__(self, envs: VectorEnv[Any, Any, Any], frame_skip: int) -> None:
        """Judge CarRacing in ``envs``; arguments as for ``Shaping``."""
        self._previous: Array = np.zeros((envs.num_envs, *(envs.single_action_space.shape or ())))
        super().__init__(envs, frame_skip)

    def judge(self, observations: Array, actions: Array) -> tuple[Array, Array]:
        """Return the penalties of a frame, and whether all wheels are on the grass."""
        wheels = wheels_on_grass(observations)
        changes = np.abs(actions - self._previous).reshape(len(actions), -1)
        # Indices of discrete actions have no distances.
        change: Array = changes.sum(1) if actions.dtype.kind == "f" else changes.any(1)
        self._previous = actions.astype(float)
        # The change of an action belongs to the timestep, not to each of its frames.
        penalty = GRASS * wheels * speed(observations) / 100 + SWITCH * change / self.frame_skip
        return -penalty, wheels == 4

    def _start(self, started: Array) -> None:
        super()._start(started)
        self._previous[started] = 0


def wheels_on_grass(observations: Array) -> Array:
    """Return the number of wheels beside grass, ``(B,)``, in frames ``(B, 96, 96, 3)``."""
    red, green, blue = np.moveaxis(observations[:, WHEELS[0], WHEELS[1]].astype(int), -1, 0)
    grass = (green >= red) & (green > blue + GREENER)
    wheels: Array = grass.sum((1, 2))
    return wheels


def speed(observations: Array) -> Array:
    """Return the car's speed, ``(B,)``, in the simulator's units, from the indicator's bar."""
    bar = observations[:, SPEED_ROWS, SPEED_COLUMN].min(-1).sum(1) / 255
    estimate: Array = np.maximum(0.0, SPEED_SLOPE * bar + SPEED_OFFSET)
    return estimate
