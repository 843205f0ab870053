"""Four rooms, a key and a locked door: a sparse pixel task with known factors and a television that
shows noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from latentrl.types import Array

Cell = tuple[int, int]

CELLS, PIXELS = 8, 8
"""Cells along a side of the image, and pixels along a side of a cell."""
WALL_ROW, WALL_COLUMN = 4, 3
ROWS = range(1, WALL_ROW), range(WALL_ROW + 1, CELLS)
"""Rows of the upper and the lower rooms; row 0 is wall."""
COLUMNS = range(WALL_COLUMN), range(WALL_COLUMN + 1, CELLS)
"""Columns of the left and the right rooms."""
ACTIONS = ("up", "down", "left", "right", "use", "switch")
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
FACTORS = (
    *(
        "agent_row",
        "agent_column",
        "has_key",
        "door_open",
        "key_row",
        "key_column",
        "goal_row",
        "goal_column",
    ),
    *("door_row", "left_gap_column", "right_gap_column"),
)
"""What ``info["factors"]`` holds, in this order."""
FLOOR, WALL, OFF = (28, 30, 46), (112, 118, 138), (12, 12, 14)
AGENT, KEY, DOOR, GOAL = (235, 64, 56), (250, 210, 60), (176, 98, 42), (70, 200, 90)
SCREEN = np.s_[1 : PIXELS - 1, 1 : 3 * PIXELS - 1]
"""Where in the image the television is: on the wall of the first room, over three cells."""


def _shape(*lines: str) -> Array:
    return np.array([[mark == "#" for mark in line] for line in lines])


AGENT_SHAPE = _shape(
    "........", "..####..", ".######.", ".######.", ".######.", ".######.", "..####..", "........"
)
KEY_SHAPE = _shape(
    "..####..", ".##..##.", ".##..##.", "..####..", "...##...", "...####.", "...##...", "...####."
)
GOAL_SHAPE = _shape(
    "...##...", "..####..", ".######.", "########", "########", ".######.", "..####..", "...##..."
)
CLOSED_SHAPE = _shape(
    "########", "########", "###..###", "###..###", "####.###", "####.###", "########", "########"
)
OPEN_SHAPE = _shape(
    "########", "########", "........", "........", "........", "........", "########", "########"
)


class KeyRooms(gym.Env[Array, Any]):
    """An agent fetches the key from the room below, opens the door at its right, and goes to the
    goal behind it.

    The upper rooms are joined by the door, and each to the one below by a gap. The layout says
    where door, gaps, key and goal are; where in the first room the agent starts is left to chance.
    Observations are ``(64, 64, 3)`` uint8 images of all rooms, 8 by 8 cells. The first four actions
    move one cell; ``use`` takes the key on which the agent stands, and with it opens the door at
    its right; ``switch`` changes the channel of the television on the wall, which with ``noisy_tv``
    shows new noise each time, and otherwise is off. The reward is ``1 - 0.9 * steps / max_steps``
    at the goal and 0 before; an episode is truncated after ``max_steps`` steps. ``info["factors"]``
    holds what ``FACTORS`` names.

    The switch traps curiosity (Burda et al. 2018, Large-scale study of curiosity-driven learning,
    arXiv:1808.04355): no model predicts the next channel, and no picture of it comes back.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        noisy_tv: bool = False,
        layouts: int | None = 4,
        max_steps: int = 64,
        render_mode: str | None = None,
    ) -> None:
        """Build the rooms; ``ValueError`` where there are no layouts or no steps.

        Args:
            noisy_tv: whether the television is on.
            layouts: how many there are; None for a new one in each episode.
            max_steps: length of an episode.
            render_mode: "rgb_array" or None.
        """
        if max_steps < 1 or (layouts is not None and layouts < 1):
            raise ValueError(
                f"rooms need at least 1 step and 1 layout; got max_steps={max_steps}, layouts={layouts}"
            )
        self.noisy_tv, self.layouts, self.max_steps, self.render_mode = (
            noisy_tv,
            layouts,
            max_steps,
            render_mode,
        )
        self.observation_space = spaces.Box(0, 255, (CELLS * PIXELS, CELLS * PIXELS, 3), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Choose a layout, and where the agent starts."""
        super().reset(seed=seed)
        self._steps, self._has_key, self._open = 0, False, False
        self._lay_out(self.np_random if self.layouts is None else self._choose(self.layouts))
        self._agent = _draw_cell(self.np_random, ROWS[0], COLUMNS[0])
        self._channel: Any = OFF
        self._switch()
        return self._paint(), self._info()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Do one of ``ACTIONS``; an impossible one changes nothing."""
        self._steps += 1
        if action < len(MOVES):
            self._move(*MOVES[action])
        elif ACTIONS[action] == "use":
            self._use()
        else:
            self._switch()
        reached = self._agent == self._goal
        reward = 1 - 0.9 * self._steps / self.max_steps if reached else 0.0
        return (
            self._paint(),
            reward,
            reached,
            not reached and self._steps >= self.max_steps,
            self._info(),
        )

    def render(self) -> Array:
        """Return the same image that an observation is."""
        return self._paint()

    def _choose(self, layouts: int) -> np.random.Generator:
        return np.random.default_rng(int(self.np_random.integers(layouts)))

    def _lay_out(self, rng: np.random.Generator) -> None:
        self._key, self._goal = (
            _draw_cell(rng, ROWS[1], COLUMNS[0]),
            _draw_cell(rng, ROWS[1], COLUMNS[1]),
        )
        self._door = _draw_cell(rng, ROWS[0], [WALL_COLUMN])
        self._gaps = [_draw_cell(rng, [WALL_ROW], columns) for columns in COLUMNS]

    def _move(self, down: int, right: int) -> None:
        cell = row, column = self._agent[0] + down, self._agent[1] + right
        inside = 1 <= row < CELLS and 0 <= column < CELLS
        wall = row == WALL_ROW or column == WALL_COLUMN
        if inside and (not wall or cell in self._gaps or (cell == self._door and self._open)):
            self._agent = cell

    def _use(self) -> None:
        if self._agent == self._key:
            self._has_key = True
        elif self._has_key and self._agent == (self._door[0], self._door[1] - 1):
            self._open = True

    def _switch(self) -> None:
        if self.noisy_tv:
            self._channel = self.np_random.integers(
                0, 256, (PIXELS - 2, 3 * PIXELS - 2, 3), np.uint8
            )

    def _info(self) -> dict[str, Any]:
        places = [*self._key, *self._goal, self._door[0], *(column for _, column in self._gaps)]
        return {"factors": np.array([*self._agent, self._has_key, self._open, *places])}

    def _paint(self) -> Array:
        cells = np.full((CELLS, CELLS, 3), FLOOR, np.uint8)
        cells[0] = cells[WALL_ROW] = cells[:, WALL_COLUMN] = WALL
        for cell in (*self._gaps, self._door):
            cells[cell] = FLOOR
        image = cells.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)
        image[SCREEN] = self._channel
        for cell, colour, shape in self._things():
            image[cell[0] * PIXELS :, cell[1] * PIXELS :][:PIXELS, :PIXELS][shape] = colour
        return image

    def _things(self) -> list[tuple[Cell, tuple[int, int, int], Array]]:
        door = self._door, DOOR, OPEN_SHAPE if self._open else CLOSED_SHAPE
        agent = self._agent, AGENT, AGENT_SHAPE
        key = self._agent if self._has_key else self._key, KEY, KEY_SHAPE
        over = [agent, key] if self._has_key else [key, agent]
        return [door, (self._goal, GOAL, GOAL_SHAPE), *over]


def _draw_cell(rng: np.random.Generator, rows: Sequence[int], columns: Sequence[int]) -> Cell:
    return int(rng.choice(rows)), int(rng.choice(columns))
