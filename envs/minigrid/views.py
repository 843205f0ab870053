"""Partial views of many MiniGrid environments, occluded and drawn in one batch.

A cell is one number in mixed radix, ``(object * COLOURS + colour) * STATES + state``; 0 is a cell
out of sight.
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
"""Numbers of objects, colours and door states in a symbolic observation."""
AGENT_ROW, AGENT_COLUMN, UP = VIEW - 1, VIEW // 2, 3
CELL_SPACE = spaces.Box(0, KINDS * COLOURS * STATES - 1, (VIEW, VIEW), np.uint8)
PIXEL_SPACE = spaces.Box(0, 255, (VIEW * PIXELS, VIEW * PIXELS, 3), np.uint8)
EMPTY, WALL = 1 * COLOURS * STATES, (2 * COLOURS + 5) * STATES
"""An empty cell and a grey wall."""
MARGIN = VIEW - 1
"""Width in cells of the wall around a map, so that no view leaves it."""
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""One cell forward, as columns and rows, for each direction of the agent."""


class CellView:
    """Cells in front of one environment's agent, occluded ones included; replaces ``gen_obs``.

    The map of the whole grid is built again only when an object appeared, disappeared or was
    replaced, or a door changed: nothing else in MiniGrid changes the look of a cell.
    """

    def __init__(self, env: Any) -> None:
        """Read the grid of ``env``, a ``MiniGridEnv``, on each call."""
        self._env = env
        self._width = env.width + 2 * MARGIN
        self._map = np.empty((env.height + 2 * MARGIN, self._width), np.uint8)
        self._offsets = _offsets(self._width)
        self._objects: list[Any] = []
        self._doors: list[Any] = []
        self._door_states: list[tuple[bool, bool]] = []

    def __call__(self) -> Array:
        """Return ``(7, 7)`` uint8 by row and column; the agent's cell holds what it carries."""
        env = self._env
        # Objects compare by identity, so that this comparison of two lists is one pass in C.
        if env.grid.grid != self._objects or _states(self._doors) != self._door_states:
            self._build_map(env.grid)
        column, row = env.agent_pos
        here = (int(row) + MARGIN) * self._width + int(column) + MARGIN
        view: Array = self._map.take(self._offsets[env.agent_dir] + here)
        # The carried object is drawn in the agent's cell. It never occludes: the agent stands only
        # on cells that are transparent.
        view[AGENT_ROW, AGENT_COLUMN] = _cell(env.carrying)
        return view

    def _build_map(self, grid: Any) -> None:
        self._objects = grid.grid.copy()
        self._doors = [thing for thing in self._objects if thing and thing.type == "door"]
        self._door_states = _states(self._doors)
        self._map.fill(WALL)
        inside = self._map[MARGIN : MARGIN + grid.height, MARGIN : MARGIN + grid.width]
        inside[:] = np.array([_cell(thing) for thing in self._objects]).reshape(inside.shape)


def _states(doors: list[Any]) -> list[tuple[bool, bool]]:
    return [(door.is_open, door.is_locked) for door in doors]


def _cell(thing: Any) -> int:
    if thing is None:
        return EMPTY
    kind, colour, state = thing.encode()
    return int((kind * COLOURS + colour) * STATES + state)


@functools.cache
def _offsets(width: int) -> Array:
    """Return ``(4, 7, 7)``: flat offsets of the cells in view from the agent's, by direction."""
    ahead = AGENT_ROW - np.arange(VIEW)[:, None]
    right = np.arange(VIEW) - AGENT_COLUMN
    # A turn to the right takes the step (x, y) to (-y, x), with rows that grow downwards.
    return np.stack([ahead * (x + y * width) + right * (x * width - y) for x, y in STEPS])


def mask_occluded(cells: Array) -> Array:
    """Replace the cells that others occlude by 0, as MiniGrid's ``process_vis`` does.

    Visibility spreads from the agent up the view: from a visible and transparent cell to both its
    neighbours in the row, and to the three cells above it.

    Args:
        cells: ``(n, 7, 7)`` uint8, as of ``CellView``.

    Returns:
        ``(n, 7, 7)`` uint8.
    """
    # A row of seven cells is a byte, so that the light within a row is one look-up in a table of
    # 128 by 128, and all environments take it together.
    packed = np.packbits(_transparent()[cells], axis=-1, bitorder="little")
    clear = packed[..., 0]  # (n, row), a bit for each column
    visible, above = _spread_tables()
    rows = np.empty_like(clear)
    entering = np.full(len(cells), 1 << AGENT_COLUMN, np.uint8)
    for row in reversed(range(VIEW)):
        rows[:, row] = visible[entering, clear[:, row]]
        entering = above[entering, clear[:, row]]
    bits = np.unpackbits(rows[..., None], axis=-1, count=VIEW, bitorder="little")
    masked: Array = cells * bits
    return masked


@functools.cache
def _spread_tables() -> tuple[Array, Array]:
    """Return the visible cells of a row and of the one above, ``(128, 128)`` uint8 each.

    The first index is the set of cells that are visible from below, the second the set of
    transparent ones, both as bits.
    """
    visible, clear = np.indices((1 << VIEW, 1 << VIEW), np.uint8)
    for _ in range(VIEW - 1):
        visible |= _neighbours(visible & clear)
    return visible, _neighbours(visible & clear)


def _neighbours(row: Array) -> Array:
    lit: Array = (row | row << 1 | row >> 1) & ((1 << VIEW) - 1)
    return lit


@functools.cache
def _transparent() -> Array:
    things = [_object(*cell) for cell in _all_cells()]
    return np.array([thing is None or thing.see_behind() for thing in things])


def draw_cells(cells: Array) -> Array:
    """Draw ``(n, 7, 7)`` cells as MiniGrid draws them: ``(n, 56, 56, 3)`` uint8."""
    lines, place = _lines()
    # One take of whole pixel lines, 24 bytes each, replaces 49 copies of tiles per frame. Indices
    # are valid by construction, so that mode="clip" changes none and spares the check.
    views: Array = lines.take(cells[:, :, None] * np.intp(PIXELS) + place, axis=0, mode="clip")
    return views.reshape(-1, VIEW * PIXELS, VIEW * PIXELS, 3)  # from (n, row, line, column, 24)


@functools.cache
def _lines() -> tuple[Array, Array]:
    """Return the pixel lines of all tiles, and the line of its tile for each line of a view.

    Tiles come twice in the table, ``(2 * cells * 8, 24)``: without the agent and with it. The
    second array is ``(7, 8, 7)``, to be added to 8 times the cell.
    """
    tiles = np.stack([_tile(agent, *cell) for agent in range(2) for cell in _all_cells()])
    place = np.zeros((VIEW, PIXELS, VIEW), int) + np.arange(PIXELS)[:, None]
    place[AGENT_ROW, :, AGENT_COLUMN] += len(tiles) // 2 * PIXELS
    return tiles.reshape(-1, PIXELS * 3), place


def _tile(agent: int, kind: int, colour: int, state: int) -> Array:
    from minigrid.core.grid import Grid

    thing = _object(kind, colour, state)
    facing = UP if agent else None
    # MiniGrid highlights what is in sight; kind 0 is out of sight.
    drawn = Grid.render_tile(thing, agent_dir=facing, highlight=kind > 0, tile_size=PIXELS)
    return drawn.astype(np.uint8)


def _all_cells() -> itertools.product[tuple[int, int, int]]:
    return itertools.product(range(KINDS), range(COLOURS), range(STATES))


def _object(kind: int, colour: int, state: int) -> Any:
    from minigrid.core.world_object import WorldObj

    return WorldObj.decode(kind, colour, state)
