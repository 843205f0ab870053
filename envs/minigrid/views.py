"""The views of many MiniGrid environments, worked out and drawn for all of them at once.

A cell is one number, made of its object, colour and state; 0 is a cell that is not seen.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.types import Array

VIEW, PIXELS = 7, 8
"""Cells along a side of the view, and pixels along a side of a cell."""
KINDS, COLOURS, STATES = 11, 6, 3
"""Values of a cell's three numbers in a symbolic observation: object, colour, and state of a
door."""
AGENT_ROW, AGENT_COLUMN, UP = VIEW - 1, VIEW // 2, 3
CELL_SPACE = spaces.Box(0, KINDS * COLOURS * STATES - 1, (VIEW, VIEW), np.uint8)
PIXEL_SPACE = spaces.Box(0, 255, (VIEW * PIXELS, VIEW * PIXELS, 3), np.uint8)
EMPTY, WALL = 1 * COLOURS * STATES, (2 * COLOURS + 5) * STATES
"""An empty cell and a grey wall."""
MARGIN = VIEW - 1
"""Walls around a map, so that no view leaves it."""
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""One cell forward, as columns and rows, for each direction that an agent can face."""


class Surroundings:
    """What lies before the agent of one environment, behind walls too; takes the place of its
    ``gen_obs``.

    The map is made anew only when a thing came, went or was replaced, or a door changed: nothing
    else in MiniGrid changes how a cell looks.
    """

    def __init__(self, env: Any) -> None:
        """Look around in ``env``, a ``MiniGridEnv``."""
        self._env = env
        self._width = env.width + 2 * MARGIN
        self._map = np.empty((env.height + 2 * MARGIN, self._width), np.uint8)
        self._offsets = _offsets(self._width)
        self._things: list[Any] = []
        self._doors: list[Any] = []
        self._states: list[tuple[bool, bool]] = []

    def __call__(self) -> Array:
        """Return ``(7, 7)`` uint8: the cell at row and column of the view, what the agent carries
        in its own.
        """
        env = self._env
        if (
            env.grid.grid != self._things
            or [(door.is_open, door.is_locked) for door in self._doors] != self._states
        ):
            self._survey(env.grid)
        column, row = env.agent_pos
        here = (int(row) + MARGIN) * self._width + int(column) + MARGIN
        view: Array = self._map.take(self._offsets[env.agent_dir] + here)
        view[AGENT_ROW, AGENT_COLUMN] = _cell(
            env.carrying
        )  # transparent, like all that an agent can stand on
        return view

    def _survey(self, grid: Any) -> None:
        self._things = grid.grid.copy()
        self._doors = [
            thing for thing in self._things if thing is not None and thing.type == "door"
        ]
        self._states = [(door.is_open, door.is_locked) for door in self._doors]
        self._map.fill(WALL)
        inside = self._map[MARGIN : MARGIN + grid.height, MARGIN : MARGIN + grid.width]
        inside[:] = np.array([_cell(thing) for thing in self._things]).reshape(inside.shape)


def _cell(thing: Any) -> int:
    if thing is None:
        return EMPTY
    kind, colour, state = thing.encode()
    return int((kind * COLOURS + colour) * STATES + state)


@functools.cache
def _offsets(width: int) -> Array:
    """Return ``(4, 7, 7)``: how far the cells in view are from the agent's, for each direction it
    can face.
    """
    ahead, right = AGENT_ROW - np.arange(VIEW)[:, None], np.arange(VIEW) - AGENT_COLUMN
    return np.stack([ahead * (x + y * width) + right * (x * width - y) for x, y in STEPS])


def hide_unseen(cells: Array) -> Array:
    """Blank what stands behind something else.

    Light spreads from the agent up the view: from a lit cell that can be seen through to both its
    neighbours in the row, and to the three cells above it.

    Args:
        cells: ``(n, 7, 7)`` uint8, as of ``Surroundings``.

    Returns:
        Likewise, with zeros.
    """
    clear = np.packbits(_transparent()[cells], axis=-1, bitorder="little")[
        ..., 0
    ]  # (n, row), a bit for each column
    lit, above = _light()
    rows = np.empty_like(clear)
    entering = np.full(len(cells), 1 << AGENT_COLUMN, np.uint8)
    for row in reversed(range(VIEW)):
        rows[:, row] = lit[entering, clear[:, row]]
        entering = above[entering, clear[:, row]]
    seen: Array = cells * np.unpackbits(rows[..., None], axis=-1, count=VIEW, bitorder="little")
    return seen


@functools.cache
def _light() -> tuple[Array, Array]:
    """Return which cells of a row are lit and which of the one above, by those lit at first and
    those transparent.
    """
    lit, clear = np.indices((1 << VIEW, 1 << VIEW), np.uint8)
    for _ in range(VIEW - 1):
        lit |= _spread(lit & clear)
    return lit, _spread(lit & clear)


def _spread(row: Array) -> Array:
    spread: Array = (row | row << 1 | row >> 1) & ((1 << VIEW) - 1)
    return spread


@functools.cache
def _transparent() -> Array:
    things = [_thing(*cell) for cell in _every_cell()]
    return np.array([thing is None or thing.see_behind() for thing in things])


def draw_cells(cells: Array) -> Array:
    """Draw ``(n, 7, 7)`` cells as MiniGrid draws them: ``(n, 56, 56, 3)`` uint8."""
    lines, place = _lines()
    views: Array = lines.take(cells[:, :, None] * np.intp(PIXELS) + place, axis=0, mode="clip")
    return views.reshape(-1, VIEW * PIXELS, VIEW * PIXELS, 3)  # from (n, row, line, column, 24)


@functools.cache
def _lines() -> tuple[Array, Array]:
    """Return all lines of all tiles, without and then with the agent, and which line each line of a
    view takes.
    """
    tiles = np.stack([_tile(agent, *cell) for agent in range(2) for cell in _every_cell()])
    place = np.zeros((VIEW, PIXELS, VIEW), int) + np.arange(PIXELS)[:, None]
    place[AGENT_ROW, :, AGENT_COLUMN] += len(tiles) // 2 * PIXELS
    return tiles.reshape(-1, PIXELS * 3), place


def _tile(agent: int, kind: int, colour: int, state: int) -> Array:
    from minigrid.core.grid import Grid

    thing, facing = _thing(kind, colour, state), UP if agent else None
    drawn = Grid.render_tile(thing, agent_dir=facing, highlight=kind > 0, tile_size=PIXELS)
    return drawn.astype(np.uint8)


def _every_cell() -> itertools.product[tuple[int, int, int]]:
    return itertools.product(range(KINDS), range(COLOURS), range(STATES))


def _thing(kind: int, colour: int, state: int) -> Any:
    from minigrid.core.world_object import WorldObj

    return WorldObj.decode(kind, colour, state)
