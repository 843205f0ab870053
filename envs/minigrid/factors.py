"""Known factors of MiniGrid, from the simulator's own objects."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from envs.wrappers import KnownFactors
from latentrl.types import Array

FACTORS = (
    *("agent_column", "agent_row", "direction"),
    *("door_column", "door_row", "door_state"),
    *("key_column", "key_row", "key_carried"),
)
"""Names of the values in ``info["factors"]``, in order."""
OPEN, CLOSED, LOCKED = range(3)
"""Values of ``door_state``, which are MiniGrid's own."""
ABSENT = (np.nan,) * 3
"""Factors of an object that the level does not have."""


class GridFactors(KnownFactors):
    """Adds ``info["factors"]``: agent, door and key of a level of MiniGrid or BabyAI.

    Columns and rows count cells from 0 at the left and at the top of the whole level, of which the
    agent observes a part. The direction is 0 right, 1 down, 2 left, 3 up; the state of the door is
    0 open, 1 closed, 2 locked. A carried key is where the agent is. Of several doors or keys the
    first one counts, from the left in the topmost row that has one. Values of an object that the
    level does not have at its start are NaN; so are those of a key inside a box.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap ``env``, a level with any observations."""
        super().__init__(env, FACTORS)

    def begin(self) -> None:
        """Find the level's door and key."""
        level: Any = self.unwrapped
        self._door, self._door_cell = _first(level.grid, "door")
        self._key, self._key_cell = _first(level.grid, "key")

    def factors(self) -> Array:
        """Return the factors, in the order of ``FACTORS``."""
        level: Any = self.unwrapped
        agent = (*level.agent_pos, level.agent_dir)
        return np.array([*agent, *self._door_factors(), *self._key_factors(level)], float)

    def _door_factors(self) -> tuple[float, ...]:
        if self._door is None:
            return ABSENT
        state = OPEN if self._door.is_open else LOCKED if self._door.is_locked else CLOSED
        return (*self._door_cell, state)

    def _key_factors(self, level: Any) -> tuple[float, ...]:
        if self._key is None:
            return ABSENT
        if level.carrying is self._key:
            return (*level.agent_pos, 1)
        # MiniGrid moves an object that is dropped; one that a level sets by hand has no position.
        cell = self._key.cur_pos
        return (*(self._key_cell if cell is None else cell), 0)


def _first(grid: Any, kind: str) -> tuple[Any, tuple[int, int]]:
    """Return the first object of a kind, row by row, and its column and row."""
    for i, thing in enumerate(grid.grid):
        if thing is not None and thing.type == kind:
            return thing, (i % grid.width, i // grid.width)
    return None, (0, 0)
