"""Known factors of CarRacing, from the simulator's state."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from envs.wrappers import KnownFactors
from latentrl.types import Array

FACTORS = ("speed", "steering", "heading", "distance", "curvature")
"""Names of the values in ``info["factors"]``, in order."""
COLOURS = tuple(
    f"{part}_{channel}" for part in ("road", "grass") for channel in ("red", "green", "blue")
)
"""Names of the values that follow where colours vary, with ``domain_randomize=True``."""
AHEAD = 10
"""Tiles of the track ahead over which the curvature is taken."""


class CarFactors(KnownFactors):
    """Adds ``info["factors"]``: what the frames of CarRacing show, in the simulator's units.

    The speed; the angle of the front wheels; the angle of the car against the track, positive to
    the left; its distance from the middle of the track, positive to the right; and the curvature of
    the track ahead in radians per unit of length, positive to the left. With
    ``domain_randomize=True`` the colours of road and grass follow, in 0..255; otherwise they are
    the same in every episode.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap ``env``, a CarRacing."""
        self._coloured = bool(env.unwrapped.domain_randomize)  # type: ignore[attr-defined]
        super().__init__(env, (*FACTORS, *COLOURS) if self._coloured else FACTORS)

    def begin(self) -> None:
        """Read the track."""
        tiles = np.array(self.unwrapped.track)  # type: ignore[attr-defined]
        self._angles, self._places = tiles[:, 1], tiles[:, 2:]

    def factors(self) -> Array:
        """Return the factors, in the order of ``FACTORS`` and ``COLOURS``."""
        game: Any = self.unwrapped
        car = game.car
        place = np.array(car.hull.position)
        nearest = int(np.square(self._places - place).sum(1).argmin())
        angle = self._angles[nearest]
        right = np.array([np.cos(angle), np.sin(angle)])
        ahead = (nearest + AHEAD) % len(self._angles)
        length = np.linalg.norm(self._places[ahead] - self._places[nearest])
        return np.array(
            [
                np.hypot(*car.hull.linearVelocity),
                car.wheels[0].joint.angle,
                _wrapped(car.hull.angle - angle),
                right @ (place - self._places[nearest]),
                _wrapped(self._angles[ahead] - angle) / length,
                *(np.concatenate([game.road_color, game.grass_color]) if self._coloured else ()),
            ]
        )


def _wrapped(angle: float) -> float:
    """Return an angle between -pi and pi."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
