"""Labels and reconstruction errors of MiniGrid's views, against hand-made views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

pytest.importorskip("minigrid")

from envs.minigrid.vector import draw_views
from scripts.studies.representation.views import (
    KINDS,
    LABELS,
    cell_errors,
    cells,
    labels,
    random_views,
)

# Object, colour and state, as MiniGrid numbers them; a hidden cell is out of sight.
HIDDEN, EMPTY, WALL, GOAL, KEY = (0, 0, 0), (1, 0, 0), (2, 5, 0), (8, 1, 0), (5, 4, 0)
OPEN, CLOSED, LOCKED = (4, 4, 0), (4, 4, 1), (4, 4, 2)
HAND, AHEAD, CORNER = (3, 6), (3, 5), (0, 6)


def view(things: Mapping[tuple[int, int], tuple[int, int, int]]) -> Any:
    """Return one symbolic view of bare floor with these things at their columns and rows."""
    symbols = np.full((1, 7, 7, 3), EMPTY, np.uint8)
    for cell, thing in things.items():
        symbols[(0, *cell)] = thing
    return symbols


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ({}, set()),
        ({AHEAD: WALL, CORNER: HIDDEN}, set()),
        ({AHEAD: KEY}, {"key"}),
        ({CORNER: KEY}, {"key"}),
        ({HAND: KEY}, {"key in hand"}),
        ({AHEAD: CLOSED}, {"shut door"}),
        ({AHEAD: LOCKED}, {"shut door"}),
        ({AHEAD: OPEN}, {"open door"}),
        ({CORNER: GOAL}, {"goal"}),
        ({HAND: KEY, AHEAD: OPEN, CORNER: GOAL}, {"key in hand", "open door", "goal"}),
    ],
)
def test_labels_of_hand_made_views(things: Any, expected: set[str]) -> None:
    present = labels(view(things))[0]
    assert {label for label, holds in zip(LABELS, present, strict=True) if holds} == expected


def test_each_cell_is_of_one_kind() -> None:
    masks = cells(view({HAND: KEY, AHEAD: LOCKED, CORNER: WALL, (1, 2): HIDDEN}))
    assert [masks[kind].sum() for kind in KINDS] == [45, 1, 0, 1, 1, 0, 0]
    assert masks["shut door"][(0, *AHEAD)]


def test_random_views_differ_and_contain_each_label() -> None:
    views = random_views(40, 5)
    assert len(np.unique(views.symbols, axis=0)) > 150
    assert (labels(views.symbols).mean(0) > 0.1).all()
    in_hand = (views.symbols[:, 3, 6] == KEY).all(1)
    # A level has one key.
    assert not labels(views.symbols)[in_hand, LABELS.index("key")].any()
    np.testing.assert_array_equal(np.bincount(views.levels), np.full(40, 5))


def test_errors_are_those_of_the_cells_of_a_kind() -> None:
    things = {HAND: KEY, AHEAD: KEY, (0, 1): WALL, (1, 0): OPEN, (2, 0): CLOSED, (4, 0): GOAL}
    symbols = view(things)
    frames = draw_views(symbols)
    reconstructions = frames.copy()
    reconstructions[:, 8:16, :8] -= 10  # the pixels of the wall
    reconstructions[:, 40:48, 24:28] = 255 - frames[:, 40:48, 24:28]  # the key's left half
    key = np.s_[0, 40:48, 24:32]
    expected = np.abs(frames[key].astype(float) - reconstructions[key]).mean()
    errors = dict(zip(KINDS, cell_errors(symbols, frames, reconstructions), strict=True))
    assert errors == {**dict.fromkeys(KINDS, 0), "wall": 10, "key": pytest.approx(expected)}
