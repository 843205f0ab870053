"""CarRacing in other colours: hues that are shifted, and the simulator's random colours.

Each function at the end makes an environment, as ``--env`` names it:
``scripts.studies.carracing.colours:random_hues``.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import gymnasium as gym
import numpy as np

from envs.car_racing.drawing import DrawnFrames
from latentrl.types import Array
from scripts.studies.carracing.arms import ENV

DEGREES = 360


class HueShift(gym.ObservationWrapper[Array, Any, Array]):
    """Shifts the hue of all pixels; saturation and value stay, and so do grey pixels."""

    def __init__(self, env: gym.Env[Array, Any], shift: float | None) -> None:
        """Shift by ``shift`` turns of the hue circle, or if None by a random one per episode."""
        super().__init__(env)
        self._random = shift is None
        self._shift = shift or 0.0
        self._rng = np.random.default_rng()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start an episode; a ``seed`` determines the random shifts from here on."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        if self._random:
            self._shift = self._rng.uniform()
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Array) -> Array:
        """Return the frame in other colours."""
        # OpenCV keeps the hue of bytes in steps of two degrees, that of floats is exact.
        hsv = cv2.cvtColor(observation.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + self._shift * DEGREES) % DEGREES
        rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        return np.rint(rgb * 255).astype(np.uint8)


def default_colours(**options: Any) -> gym.Env[Array, Any]:
    """Make CarRacing in its own colours."""
    return DrawnFrames(gym.make(ENV, **options))


def _shifted(shift: float | None, **options: Any) -> gym.Env[Array, Any]:
    return HueShift(default_colours(**options), shift)


random_hues = functools.partial(_shifted, None)
hue_plus_30 = functools.partial(_shifted, 0.3)
hue_minus_20 = functools.partial(_shifted, -0.2)
hue_plus_10 = functools.partial(_shifted, 0.1)
random_colours = functools.partial(default_colours, domain_randomize=True)
