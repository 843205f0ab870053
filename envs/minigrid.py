"""MiniGrid seen as pixels: the 7 by 7 cells in view, drawn 8 by 8 pixels each, on Gymnasium and on EnvPool."""

from __future__ import annotations

import functools
import importlib
import itertools
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.envpool import EnvPoolVectorEnv
from latentrl.types import Array

VIEW, PIXELS = 7, 8
"""Cells along a side of the view, and pixels along a side of a cell."""
KINDS, COLOURS, STATES = 11, 6, 3
"""Values of a cell's three numbers in a symbolic observation: object, colour, and state of a door."""
AGENT_ROW, AGENT_COLUMN, UP = VIEW - 1, VIEW // 2, 3
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "MiniGrid-MultiRoom-N4-S5-v1": (
        "MiniGrid-MultiRoom-N4-S5-v0",  # whose six rooms are a mistake that MiniGrid keeps
        {"min_num_rooms": 4, "max_num_rooms": 4, "max_episode_steps": 80},
    )
}
"""Ids that EnvPool does not have: the one it is made from, and what differs."""


def see_pixels(env: gym.Env[Any, Any]) -> gym.Env[Array, Any]:
    """Show the partial view of a MiniGrid environment as ``(56, 56, 3)`` uint8 images, and nothing else of it."""
    wrappers: Any = importlib.import_module("minigrid.wrappers")  # which has no annotations
    pixels: gym.Env[Array, Any] = wrappers.ImgObsWrapper(wrappers.RGBImgPartialObsWrapper(env, tile_size=PIXELS))
    return pixels


def draw_views(symbols: Array) -> Array:
    """Draw symbolic partial views as MiniGrid draws them.

    Args:
        symbols: ``(n, 7, 7, 3)`` uint8; object, colour and state of the cell at column and row of the view.

    Returns:
        ``(n, 56, 56, 3)`` uint8.
    """
    lines, place = _lines()
    cells = symbols.transpose(0, 2, 1, 3) @ np.array([COLOURS * STATES, STATES, 1]) * PIXELS  # (n, row, column)
    views: Array = lines.take(cells[:, :, None] + place, axis=0, mode="clip")  # (n, row, line, column, 24)
    return views.reshape(-1, VIEW * PIXELS, VIEW * PIXELS, 3)


@functools.cache
def _lines() -> tuple[Array, Array]:
    """Return all lines of all tiles, without and then with the agent, and which line each line of a view takes."""
    numbers = itertools.product(range(2), range(KINDS), range(COLOURS), range(STATES))
    tiles = np.stack([_tile(*cell) for cell in numbers])
    place = np.zeros((VIEW, PIXELS, VIEW), int) + np.arange(PIXELS)[:, None]
    place[AGENT_ROW, :, AGENT_COLUMN] += len(tiles) // 2 * PIXELS
    return tiles.reshape(-1, PIXELS * 3), place


def _tile(agent: int, kind: int, colour: int, state: int) -> Array:
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import WorldObj

    thing = WorldObj.decode(kind, colour, state)
    drawn = Grid.render_tile(thing, agent_dir=UP if agent else None, highlight=kind > 0, tile_size=PIXELS)
    return drawn.astype(np.uint8)


class MiniGridVectorEnv(EnvPoolVectorEnv):
    """EnvPool's MiniGrid, drawn from a table of MiniGrid's own tiles; a seed makes another level than it does there."""

    def _task(self) -> tuple[str, dict[str, Any]]:
        return TASKS.get(self.env_id, (self.env_id, {}))

    def _space_seen(self) -> spaces.Space[Any]:
        return spaces.Box(0, 255, (VIEW * PIXELS, VIEW * PIXELS, 3), np.uint8)

    def _see(self, observations: Any) -> Array:
        return draw_views(observations["image"])


def envpool_has(env_id: str) -> bool:
    """Whether EnvPool can play this environment of MiniGrid."""
    import envpool

    return env_id in TASKS or env_id in envpool.list_all_envs()
