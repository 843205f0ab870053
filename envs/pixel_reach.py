"""A small pixel environment with known factors, which needs no extra package."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.families import EnvDefaults, EnvFamily, register_family
from latentrl.types import Array

FACTORS = ("agent_row", "agent_column", "goal_row", "goal_column")
"""Names of the values in ``info["factors"]``, in order, in cells."""
MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
AGENT, GOAL, FLOOR = (230, 60, 50), (70, 200, 90), (35, 40, 60)


class PixelReach(gym.Env[Array, Any]):
    """A red square moves over a board to a green one.

    Observations are ``(32, 32, 3)`` uint8 images. The four actions move one cell; with
    ``continuous=True`` the action is a direction in [-1, 1]^2, of which the larger component
    counts. The reward is 1 at the goal, where the episode terminates, and -0.05 for other steps.
    ``info["factors"]`` holds the values that ``FACTORS`` names.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10, "factors": FACTORS}

    def __init__(
        self, cells: int = 4, continuous: bool = False, render_mode: str | None = None
    ) -> None:
        """Make a board of ``cells`` by ``cells`` cells."""
        self.cells, self.continuous, self.render_mode = cells, continuous, render_mode
        self.observation_space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
        self.action_space = (
            spaces.Box(-1, 1, (2,), np.float32) if continuous else spaces.Discrete(4)
        )
        self._agent = self._goal = np.zeros(2, int)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Place agent and goal on two different cells."""
        super().reset(seed=seed)
        chosen = self.np_random.choice(self.cells**2, 2, replace=False)
        self._agent, self._goal = np.stack(np.divmod(chosen, self.cells), axis=1)
        return self._draw(), self._info()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Move one cell; a move off the board has no effect."""
        move = _direction(np.asarray(action)) if self.continuous else MOVES[int(action)]
        self._agent = np.clip(self._agent + move, 0, self.cells - 1)
        reached = bool((self._agent == self._goal).all())
        return self._draw(), 1.0 if reached else -0.05, reached, False, self._info()

    def render(self) -> Array:
        """Return the current observation, ``(32, 32, 3)`` uint8."""
        return self._draw()

    def _info(self) -> dict[str, Any]:
        return {"factors": np.concatenate([self._agent, self._goal])}

    def _draw(self) -> Array:
        image = np.full((32, 32, 3), FLOOR, np.uint8)
        side = 32 // self.cells
        for (row, column), colour in ((self._goal, GOAL), (self._agent, AGENT)):
            image[row * side : (row + 1) * side, column * side : (column + 1) * side] = colour
        return image


def _direction(action: Array) -> Array:
    axis = int(np.abs(action).argmax())
    move = np.zeros(2, int)
    move[axis] = 1 if action[axis] > 0 else -1
    return move


gym.register("PixelReach-v0", entry_point="envs.pixel_reach:PixelReach", max_episode_steps=20)

register_family(
    EnvFamily(
        "pixel_reach",
        prefixes=("PixelReach-",),
        defaults=EnvDefaults(size=None, stack=1, workers=False),
    )
)
