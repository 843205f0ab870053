"""MiniGrid's partial views in random states, with the objects that are in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs import Environment, make_env
from envs.minigrid.views import AGENT_COLUMN, AGENT_ROW, PIXELS, VIEW
from latentrl.types import Array

ENV = "MiniGrid-DoorKey-8x8-v0"
KINDS = ("floor", "wall", "key", "key in hand", "shut door", "open door", "goal")
LABELS = KINDS[2:]
"""Objects whose presence in the view a classifier predicts."""
FIRST_LEVEL = 10_000
"""Seed of the first level, far from the levels of the encoders' training."""
CARRYING = 0.3
"""Fraction of the states with the key in hand."""
DOORS = ((True, False), (True, False), (False, False), (False, True))
"""Whether the door is open and whether it is locked, with equal probabilities.

The door is open in half of the states.
"""


@dataclass(frozen=True)
class Views:
    """Symbolic views and their levels."""

    symbols: Array
    """Object, colour and state of each cell, uint8 ``(N, 7, 7, 3)`` by column and row."""
    levels: Array
    """Number of the level of each view, int ``(N,)``."""


def random_views(levels: int, states: int) -> Views:
    """Return views of ``states`` random states of each level; not all of them can be reached."""
    env: Any = make_env(Environment(ENV)).unwrapped
    rng, symbols = np.random.default_rng(0), []
    for level in range(levels):
        env.reset(seed=FIRST_LEVEL + level)
        for _ in range(states):
            _randomise(env, rng)
            symbols.append(env.gen_obs()["image"])
    env.close()
    return Views(np.stack(symbols), np.repeat(np.arange(levels), states))


def _randomise(env: Any, rng: np.random.Generator) -> None:
    """Move the agent, set the door, and put the key into the hand or back on its cell."""
    if env.carrying is not None:
        env.grid.set(*env.carrying.init_pos, env.carrying)
    things = {thing.type: thing for thing in env.grid.grid if thing is not None}
    env.carrying = things["key"] if rng.random() < CARRYING else None
    if env.carrying is not None:
        env.grid.set(*env.carrying.init_pos, None)
    things["door"].is_open, things["door"].is_locked = DOORS[rng.integers(len(DOORS))]
    free = [i for i, thing in enumerate(env.grid.grid) if thing is None]
    row, column = divmod(int(rng.choice(free)), env.width)
    env.agent_pos = (column, row)
    env.agent_dir = int(rng.integers(4))


def cells(symbols: Array) -> dict[str, Array]:
    """Return the cells of each of ``KINDS``, bool ``(N, 7, 7)`` by column and row."""
    from minigrid.core.constants import OBJECT_TO_IDX, STATE_TO_IDX

    things = {name: symbols[..., 0] == number for name, number in OBJECT_TO_IDX.items()}
    is_open = symbols[..., 2] == STATE_TO_IDX["open"]
    # MiniGrid draws what the agent carries on the agent's own cell.
    agent = np.zeros((VIEW, VIEW), bool)
    agent[AGENT_COLUMN, AGENT_ROW] = True
    masks = [
        things["empty"] & ~agent,
        things["wall"],
        things["key"] & ~agent,
        things["key"] & agent,
        things["door"] & ~is_open,
        things["door"] & is_open,
        things["goal"],
    ]
    return dict(zip(KINDS, masks, strict=True))


def labels(symbols: Array) -> Array:
    """Return whether each of ``LABELS`` is in view, bool ``(N, len(LABELS))``."""
    masks = cells(symbols)
    return np.stack([masks[name].any((1, 2)) for name in LABELS], 1)


def cell_errors(symbols: Array, frames: Array, reconstructions: Array) -> list[float]:
    """Return the mean absolute error of the cells of each of ``KINDS``, in grey levels.

    Args:
        symbols: as those of ``Views``.
        frames: the views as images, uint8 ``(N, 56, 56, 3)``.
        reconstructions: images of the same shape.
    """
    errors = np.abs(frames.astype(np.int16) - reconstructions)  # uint8 differences would wrap
    means = errors.reshape(-1, VIEW, PIXELS, VIEW, PIXELS, 3).mean((2, 4, 5))
    # Images go by row and column, symbols by column and row.
    return [float(means[mask.transpose(0, 2, 1)].mean()) for mask in cells(symbols).values()]
