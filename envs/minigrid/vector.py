"""MiniGrid seen as pixels: the 7 by 7 cells in view, drawn 8 by 8 pixels each, on Gymnasium and on
EnvPool.
"""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.envpool import EnvPoolVectorEnv
from envs.minigrid.views import (
    CELL_SPACE,
    COLOURS,
    PIXEL_SPACE,
    PIXELS,
    STATES,
    Surroundings,
    draw_cells,
    hide_unseen,
)
from latentrl.types import Array

MULTI_ROOM = "MiniGrid-MultiRoom-"


def see_pixels(env: gym.Env[Any, Any]) -> gym.Env[Array, Any]:
    """Show the partial view of a MiniGrid environment as ``(56, 56, 3)`` uint8 images, and nothing
    else of it.
    """
    wrappers: Any = importlib.import_module("minigrid.wrappers")  # which has no annotations
    pixels: gym.Env[Array, Any] = wrappers.ImgObsWrapper(
        wrappers.RGBImgPartialObsWrapper(env, tile_size=PIXELS)
    )
    return pixels


def see_surroundings(env: gym.Env[Any, Any]) -> gym.Env[Array, Any]:
    """Show a MiniGrid environment as ``(7, 7)`` cells, seen or not, for ``DrawnVectorEnv`` to hide
    and to draw.
    """
    minigrid: Any = env.unwrapped
    minigrid.observation_space, minigrid.gen_obs = CELL_SPACE, Surroundings(minigrid)
    return env


class DrawnVectorEnv(VectorWrapper):
    """MiniGrid's own environments with the frames of ``see_pixels``, made for all of them at
    once.
    """

    def __init__(self, envs: SyncVectorEnv) -> None:
        """Draw what ``envs`` of ``see_surroundings`` show, with SAME_STEP autoreset."""
        super().__init__(envs)
        self.single_observation_space = PIXEL_SPACE
        self.observation_space = batch_space(PIXEL_SPACE, envs.num_envs)
        self._see_through = all(envs.get_attr("see_through_walls"))

    def reset(self, **kwargs: Any) -> tuple[Array, dict[str, Any]]:
        """Begin new episodes; arguments as in Gymnasium."""
        cells, infos = self.env.reset(**kwargs)
        return self._draw(cells), infos

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Do one step everywhere."""
        numbers: Any = np.asarray(actions).tolist()  # which MiniGrid compares faster than NumPy's
        cells, rewards, terminated, truncated, infos = self.env.step(numbers)
        for i in np.flatnonzero(infos.get("_final_obs", ())):
            infos["final_obs"][i] = self._draw(infos["final_obs"][i][None])[0]
        return self._draw(cells), rewards, terminated, truncated, infos

    def _draw(self, cells: Array) -> Array:
        return draw_cells(cells if self._see_through else hide_unseen(cells))


class MiniGridVectorEnv(EnvPoolVectorEnv):
    """EnvPool's MiniGrid, drawn from a table of MiniGrid's own tiles; a seed makes another level
    than it does there.
    """

    def _space_seen(self) -> spaces.Space[Any]:
        return PIXEL_SPACE

    def _see(self, observations: Any) -> Array:
        return draw_views(observations["image"])


def draw_views(symbols: Array) -> Array:
    """Draw symbolic partial views as MiniGrid draws them.

    Args:
        symbols: ``(n, 7, 7, 3)`` uint8; object, colour and state of the cell at column and row of
            the view.

    Returns:
        ``(n, 56, 56, 3)`` uint8.
    """
    return draw_cells(symbols.transpose(0, 2, 1, 3) @ np.array([COLOURS * STATES, STATES, 1]))


def envpool_has(env_id: str) -> bool:
    """Whether EnvPool can play this environment of MiniGrid; not MultiRoom, where its rooms
    overlap.
    """
    import envpool

    return not env_id.startswith(MULTI_ROOM) and env_id in envpool.list_all_envs()
