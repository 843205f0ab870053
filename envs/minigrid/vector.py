"""MiniGrid as vectors of pixel views: 7 by 7 cells of 8 by 8 pixels, drawn in one batch."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.envpool import EnvPoolVectorEnv
from envs.families import EnvMaker
from envs.minigrid.factors import GridFactors
from envs.minigrid.views import (
    CELL_SPACE,
    COLOURS,
    PIXEL_SPACE,
    PIXELS,
    STATES,
    CellView,
    draw_cells,
    mask_occluded,
)
from latentrl.types import Array


def pixel_view(env: gym.Env[Any, Any]) -> gym.Env[Array, Any]:
    """Return ``env`` with its partial view as ``(56, 56, 3)`` uint8 images, without the mission."""
    wrappers: Any = importlib.import_module("minigrid.wrappers")  # which has no annotations
    pixels: gym.Env[Array, Any] = wrappers.ImgObsWrapper(
        wrappers.RGBImgPartialObsWrapper(env, tile_size=PIXELS)
    )
    return GridFactors(pixels)


def cell_view(maker: EnvMaker) -> gym.Env[Array, Any]:
    """Make a MiniGrid environment whose observations are ``(7, 7)`` cells, occluded ones included.

    ``DrawnVectorEnv`` masks and draws these cells for all environments at once, which is several
    times faster than MiniGrid's own drawing, tile by tile.
    """
    env = maker()
    # MiniGrid calls its own gen_obs in reset and step, so replacing it on the instance also saves
    # the time of the symbolic observation.
    minigrid: Any = env.unwrapped
    minigrid.observation_space, minigrid.gen_obs = CELL_SPACE, CellView(minigrid)
    return GridFactors(env)


def drawn_vector(makers: Sequence[EnvMaker]) -> DrawnVectorEnv:
    """Return the vector environment of ``makers`` with the frames of ``pixel_view``."""
    return DrawnVectorEnv(
        SyncVectorEnv(cell_makers(makers), autoreset_mode=AutoresetMode.SAME_STEP)
    )


def cell_makers(makers: Sequence[EnvMaker]) -> list[EnvMaker]:
    """Return functions that make the environments of ``makers`` as ``cell_view`` does."""
    return [functools.partial(cell_view, maker) for maker in makers]


class DrawnVectorEnv(VectorWrapper):
    """MiniGrid's own environments with the frames of ``pixel_view``, drawn in one batch."""

    def __init__(self, envs: SyncVectorEnv) -> None:
        """Draw the cells of ``envs``, which ``cell_view`` made, with SAME_STEP autoreset."""
        super().__init__(envs)
        self.single_observation_space = PIXEL_SPACE
        self.observation_space = batch_space(PIXEL_SPACE, envs.num_envs)
        self._transparent_walls = all(envs.get_attr("see_through_walls"))

    def reset(self, **kwargs: Any) -> tuple[Array, dict[str, Any]]:
        """Start new episodes; arguments as in Gymnasium."""
        cells, infos = self.env.reset(**kwargs)
        return self.draw(cells), infos

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step all environments; frames are ``(B, 56, 56, 3)`` uint8."""
        # MiniGrid compares an action with each of its seven names; Python's integers compare
        # faster than NumPy's.
        numbers: Any = np.asarray(actions).tolist()
        cells, rewards, terminated, truncated, infos = self.env.step(numbers)
        for i in np.flatnonzero(infos.get("_final_obs", ())):
            infos["final_obs"][i] = self.draw(infos["final_obs"][i][None])[0]
        return self.draw(cells), rewards, terminated, truncated, infos

    def draw(self, cells: Array) -> Array:
        """Draw ``(B, 7, 7)`` cells as frames."""
        return draw_cells(cells if self._transparent_walls else mask_occluded(cells))


class MiniGridVectorEnv(EnvPoolVectorEnv):
    """EnvPool's MiniGrid, drawn from a table of MiniGrid's own tiles.

    Rules and frames are MiniGrid's; a seed makes another level than it does there.
    """

    def observed_space(self) -> spaces.Space[Any]:
        """Return the space of one frame, ``(56, 56, 3)`` uint8."""
        return PIXEL_SPACE

    def observe(self, observations: Any) -> Array:
        """Draw the symbolic views ``(B, 7, 7, 3)`` as frames ``(B, 56, 56, 3)`` uint8."""
        return draw_views(observations["image"])


def draw_views(symbols: Array) -> Array:
    """Draw symbolic partial views as MiniGrid draws them.

    Args:
        symbols: ``(n, 7, 7, 3)`` uint8; object, colour and state of the cell at column and row of
            the view.

    Returns:
        ``(n, 56, 56, 3)`` uint8.
    """
    # MiniGrid indexes by column and row, an image by row and column. The product is the number of
    # the cell in mixed radix, as in ``envs.minigrid.views``.
    return draw_cells(symbols.transpose(0, 2, 1, 3) @ np.array([COLOURS * STATES, STATES, 1]))
