"""Four rooms, a key and a locked door: a sparse pixel task with known factors and a noisy TV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.families import EnvDefaults, EnvFamily, register_family, tile_pretraining
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
    *("agent_row", "agent_column", "has_key", "door_open"),
    *("key_row", "key_column", "goal_row", "goal_column"),
    *("door_row", "left_gap_column", "right_gap_column"),
)
"""Names of the values in ``info["factors"]``, in order."""
FLOOR, WALL, OFF = (28, 30, 46), (112, 118, 138), (12, 12, 14)
AGENT, KEY, DOOR, GOAL = (235, 64, 56), (250, 210, 60), (176, 98, 42), (70, 200, 90)
SCREEN = np.s_[1 : PIXELS - 1, 1 : 3 * PIXELS - 1]
"""Pixels of the TV's screen: on the wall of the first room, across three cells."""


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
    """A task of three stages: take the key, open the door with it, reach the goal.

    The key is in the room below the first one, the door in its right wall, and the goal in the room
    below the door. A layout fixes door, gaps, key and goal; the agent starts on a random cell of
    the first room.

    Observations are ``(64, 64, 3)`` uint8 images of all rooms, 8 by 8 cells. The first four actions
    move one cell. ``use`` takes the key in the agent's cell, or opens the door at the agent's right
    with the key. ``switch`` changes the channel of the TV on the wall: with ``noisy_tv`` each
    channel is new noise, otherwise the TV is off. The extrinsic reward is
    ``1 - 0.9 * steps / max_steps`` at the goal and 0 before. An episode is truncated after
    ``max_steps`` steps. ``info["factors"]`` holds the values that ``FACTORS`` names.

    The TV is the noisy-TV problem of Burda et al. 2018 (Large-scale study of curiosity-driven
    learning, arXiv:1808.04355): no model predicts the next channel, and no channel comes twice.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10, "factors": FACTORS}

    def __init__(
        self,
        noisy_tv: bool = False,
        layouts: int | None = 4,
        max_steps: int = 64,
        render_mode: str | None = None,
    ) -> None:
        """Build the rooms.

        Args:
            noisy_tv: whether the TV shows noise.
            layouts: number of layouts; None draws a new one for each episode.
            max_steps: steps after which an episode is truncated.
            render_mode: ``"rgb_array"`` or None.

        Raises:
            ValueError: ``layouts`` or ``max_steps`` is less than 1.
        """
        if max_steps < 1 or (layouts is not None and layouts < 1):
            raise ValueError(
                "KeyRooms needs at least 1 step and 1 layout; got "
                f"max_steps={max_steps}, layouts={layouts}"
            )
        self.noisy_tv, self.layouts = noisy_tv, layouts
        self.max_steps, self.render_mode = max_steps, render_mode
        self.observation_space = spaces.Box(0, 255, (CELLS * PIXELS, CELLS * PIXELS, 3), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Draw a layout and the agent's first cell."""
        super().reset(seed=seed)
        self._steps, self._has_key, self._open = 0, False, False
        self._lay_out(self.np_random if self.layouts is None else self._choose(self.layouts))
        self._agent = _draw_cell(self.np_random, ROWS[0], COLUMNS[0])
        self._channel: Any = OFF
        self._switch()
        return self._paint(), self._info()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Take one of ``ACTIONS``; an impossible one changes nothing."""
        self._steps += 1
        if action < len(MOVES):
            self._move(*MOVES[action])
        elif ACTIONS[action] == "use":
            self._use()
        else:
            self._switch()
        reached = self._agent == self._goal
        reward = 1 - 0.9 * self._steps / self.max_steps if reached else 0.0
        truncated = not reached and self._steps >= self.max_steps
        return self._paint(), reward, reached, truncated, self._info()

    def render(self) -> Array:
        """Return the current observation, ``(64, 64, 3)`` uint8."""
        return self._paint()

    def _choose(self, layouts: int) -> np.random.Generator:
        # The number of a layout is its seed, so that layouts are the same for every seed of the
        # environment, and the first ones of a larger number are those of a smaller.
        return np.random.default_rng(int(self.np_random.integers(layouts)))

    def _lay_out(self, rng: np.random.Generator) -> None:
        self._key = _draw_cell(rng, ROWS[1], COLUMNS[0])
        self._goal = _draw_cell(rng, ROWS[1], COLUMNS[1])
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
        # A key in hand is drawn over the agent and a key on the floor under it: with the agent in
        # the key's cell, the image alone says which it is.
        over = [agent, key] if self._has_key else [key, agent]
        return [door, (self._goal, GOAL, GOAL_SHAPE), *over]


def _draw_cell(rng: np.random.Generator, rows: Sequence[int], columns: Sequence[int]) -> Cell:
    return int(rng.choice(rows)), int(rng.choice(columns))


gym.register("KeyRooms-v0", entry_point="envs.key_rooms:KeyRooms")
gym.register("KeyRoomsNoisyTV-v0", entry_point="envs.key_rooms:KeyRooms", kwargs={"noisy_tv": True})
gym.register(
    "KeyRoomsProcedural-v0", entry_point="envs.key_rooms:KeyRooms", kwargs={"layouts": None}
)

register_family(
    EnvFamily(
        "key_rooms",
        prefixes=("KeyRooms",),
        defaults=EnvDefaults(
            size=None,
            stack=1,
            episodic_count=True,
            policy="random",
            workers=False,
            pretraining=tile_pretraining(CELLS * CELLS),
        ),
    )
)
