"""Family of Crafter (Hafner 2021, arXiv:2109.06780), whose package has no Gymnasium environment."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.families import EnvDefaults, EnvFamily, register_family
from latentrl.types import Array


class Crafter(gym.Env[Array, Any]):
    """The package's environment with rewards: ``(64, 64, 3)`` uint8 images and 17 actions."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode: str | None = None) -> None:
        """Make the world; ``reset`` generates it.

        Raises:
            ModuleNotFoundError: the package is not installed.
        """
        self.render_mode = render_mode
        self._world: Any = importlib.import_module("crafter").Env(seed=0)
        self.observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
        self.action_space = spaces.Discrete(len(self._world.action_names))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Generate a new world; arguments as in Gymnasium."""
        super().reset(seed=seed)
        # The package takes a seed at construction alone.
        self._world._seed = int(self.np_random.integers(2**31))
        self._world._episode = 0
        return self._world.reset(), {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Step; at the end ``info["achievements"]`` counts each of the 22 achievements."""
        image, reward, done, info = self._world.step(int(action))
        dead = info["discount"] == 0
        ended = {"achievements": info["achievements"]} if done else {}
        return image, float(reward), dead, bool(done) and not dead, ended

    def render(self) -> Array:
        """Return the image of the player's surroundings, ``(512, 512, 3)`` uint8."""
        image: Array = self._world.render((512, 512))
        return image


gym.register("CrafterReward-v1", entry_point="envs.crafter:Crafter")

register_family(
    EnvFamily(
        "crafter",
        prefixes=("CrafterReward-",),
        defaults=EnvDefaults(),
        package="crafter",
        install="latentrl[suite]",
    )
)
