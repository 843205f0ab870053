"""Family of highway-env (Leurent 2018), observed by images."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.families import EnvDefaults, EnvFamily, register_family
from latentrl.types import Array

WIDTH, HEIGHT = 128, 64
IMAGES = {
    "type": "GrayscaleObservation",
    "observation_shape": (WIDTH, HEIGHT),
    "stack_size": 1,
    "weights": [0.2989, 0.5870, 0.1140],
    "scaling": 1.75,
}
"""The images of the package's documentation, one at a time: agents stack them themselves."""


class ChannelsLast(gym.ObservationWrapper[Array, Any, Any], gym.utils.RecordConstructorArgs):
    """Images ``(H, W, 1)`` from the package's ``(1, W, H)``."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap ``env``, whose observations are ``IMAGES``."""
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.observation_space = spaces.Box(0, 255, (HEIGHT, WIDTH, 1), np.uint8)

    def observation(self, observation: Array) -> Array:
        """Return the image with its columns along the second axis."""
        return np.ascontiguousarray(observation.transpose())


register_family(
    EnvFamily(
        "highway",
        prefixes=("highway-", "merge-", "roundabout-", "intersection-"),
        defaults=EnvDefaults(),
        package="highway_env",
        options={"config": {"observation": IMAGES}},
        install="latentrl[suite]",
        observe=ChannelsLast,
    )
)
