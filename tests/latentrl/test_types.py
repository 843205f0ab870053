"""Transitions, layouts of latents, and observation spaces from shapes, to JSON and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.types import (
    LatentLayout,
    Transitions,
    as_space,
    describe_space,
    same_kind,
    space_from_json,
    space_to_json,
)


def transitions(count: int) -> Transitions:
    ids = np.arange(count)
    ends = ids == 1
    return Transitions(ids, ids + 10, ids + 20, ids + 30, ids + 40, ids + 50, ends, ~ends)


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([True, False, True]), slice(1, 3)])
def test_rows_of_transitions_are_rows_of_all_fields(rows: np.ndarray | slice) -> None:
    chosen, ids = transitions(3)[rows], np.arange(3)[rows]
    assert len(chosen) == 2
    assert chosen.env_ids.tolist() == ids.tolist()
    assert chosen.next_latents.tolist() == (ids + 50).tolist()
    assert chosen.truncated.tolist() == (ids != 1).tolist()


def test_a_cached_result_is_computed_once_for_these_transitions() -> None:
    whole, calls = transitions(3), []
    compute = lambda: calls.append(1) or len(calls)  # noqa: E731
    assert [whole.cached("a", compute), whole.cached("a", compute)] == [1, 1]
    assert whole.cached("b", compute) == 2
    assert whole[np.array([0])].cached("a", compute) == 3, "other transitions, other results"


def test_a_grid_layout_splits_latents_into_cells() -> None:
    layout = LatentLayout((2, 3), 4)
    assert (layout.cells, layout.latent_dim) == (6, 24)
    latents = np.arange(48).reshape(2, 24)
    cells = layout.split(latents)
    assert cells.shape == (2, 6, 4)
    assert cells[1, 5].tolist() == [24 + 5, 24 + 11, 24 + 17, 24 + 23]
    assert layout.token_width < LatentLayout(None, 24).token_width


def test_the_layout_of_an_encoder_without_one_is_a_vector() -> None:
    class Plain:
        latent_space = spaces.Box(-1, 1, (5,), np.float32)

    class Grid(Plain):
        latent_layout = LatentLayout((1, 5), 1)

    vector = LatentLayout.of(Plain())
    assert (vector.grid, vector.cells, vector.latent_dim) == (None, 1, 5)
    assert LatentLayout.of(Grid()) is Grid.latent_layout


def along_last_axis(low: list[float], high: list[float], shape: Any, dtype: Any) -> spaces.Box:
    bounds = (np.broadcast_to(np.array(bound, dtype), shape) for bound in (low, high))
    return spaces.Box(*bounds, dtype=dtype)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (96, 96, 3), np.uint8),
        spaces.Box(0, 1, (32, 32, 1), np.float32),
        spaces.Box(-np.inf, np.inf, (8,), np.float64),
        spaces.Box(-128, 127, (20, 20), np.int8),
        spaces.Box(-np.inf, np.inf, (12, 4), np.float32),
        spaces.Box(0, np.inf, (8, 8, 1), np.float32),
        along_last_axis([0, 0, -1, -np.inf], [255, 1, 10, np.inf], (16, 16, 4), np.float32),
        along_last_axis([0, 0], [255, 7], (16, 16, 2), np.uint8),
        along_last_axis([-4.8, -np.inf], [4.8, np.inf], (2,), np.float64),
        spaces.Box(-np.inf, np.inf, (3,), np.int64),
        spaces.Box(0, 2**64 - 1, (2,), np.uint64),
        spaces.Box(-1, 1, (), np.float32),
        spaces.Box(0, 1, (5,), np.bool_),
        spaces.Box(np.float32([-4.8, -np.inf, 0]), np.float32([4.8, np.inf, np.inf])),
        spaces.Box(*(np.broadcast_to(np.float32(b), (6, 7, 2)) for b in ([0, -1], [255, 10]))),
    ],
)
def test_json_round_trip(space: spaces.Box) -> None:
    text = json.dumps(space_to_json(space), allow_nan=False)
    assert space_from_json(json.loads(text)) == space


def test_bounds_per_pixel_become_those_of_their_channel() -> None:
    low = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    described = space_to_json(spaces.Box(low, low + 5, dtype=np.float32))
    assert described["bounds"] == [[0, 1], [15, 16]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "object"}, "a dtype is one of bool, .*; got 'object'"),
        ({"dtype": "f4,i4"}, "a dtype is one of bool"),
        ({"dtype": ["uint8"]}, "a dtype is one of bool"),
        ({"shape": None}, "a shape is a list of whole numbers, got None"),
        ({"shape": [4, True]}, r"a shape is a list of whole numbers, got \[4, True\]"),
        ({"shape": [4, 0]}, r"a shape has up to 8 positive sizes .* got \[4, 0\]"),
        ({"shape": [2**13, 2**13]}, "and up to 33,554,432 values, got "),
        ({"shape": [10**30, -1]}, "a shape has up to 8 positive sizes"),
        ({"shape": [1] * 9}, "a shape has up to 8 positive sizes"),
        ({"bounds": 255}, r"the bounds of a space are \[low, high\] or null, got 255"),
        ({"bounds": [0, "255"]}, "a bound of a space is a number, a list or null, got '255'"),
        ({"bounds": [float("nan"), 1]}, "a bound of a space is a number"),
        ({"bounds": [0, [1, 2]]}, r"shape \(4, 3\) has one bound, or one per .* axis, not 2"),
        ({"bounds": [0, []]}, "has one bound, or one per index of its last axis, not 0"),
        ({"bounds": [9, 3]}, "all low values must be less than or equal to high"),
    ],
)
def test_damaged_spaces_are_refused(changes: dict[str, Any], message: str) -> None:
    described = {**space_to_json(spaces.Box(0, 255, (4, 3), np.uint8)), **changes}
    with pytest.raises(ValueError, match=message):
        space_from_json(described)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "float64"])
def test_bounds_beyond_the_dtype_are_clipped(dtype: str) -> None:
    space = space_from_json({"shape": [2], "dtype": dtype, "bounds": [-(10**400), 10**400]})
    limits = np.finfo(dtype) if dtype.startswith("f") else np.iinfo(dtype)
    assert (space.low == limits.min).all()
    assert (space.high == limits.max).all()


def test_a_sequence_is_its_box() -> None:
    box = spaces.Box(-np.inf, np.inf, (12, 4), np.float32)
    assert as_space(box) is box


def test_shapes_mean_images_or_vectors() -> None:
    assert as_space((64, 64, 3)) == spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert as_space((64, 64)) == spaces.Box(0, 255, (64, 64), np.uint8)
    assert as_space([8]) == spaces.Box(-np.inf, np.inf, (8,), np.float32)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (spaces.Box(-1, 1, (8,), np.float64), True),
        (spaces.Box(-1, 1, (9,), np.float32), False),
        (spaces.Box(0, 255, (8,), np.uint8), False),
    ],
)
def test_floats_of_any_precision_are_one_kind(other: spaces.Box, same: bool) -> None:
    assert same_kind(as_space((8,)), other) is same
    assert same_kind(other, other)


def test_spaces_are_named_by_shape_and_dtype() -> None:
    assert describe_space(spaces.Box(0, 255, (96, 96, 3), np.uint8)) == "(96, 96, 3) uint8"
    assert describe_space(spaces.Discrete(4)) == "Discrete(4)"


def test_other_spaces_are_refused() -> None:
    with pytest.raises(
        TypeError, match="expected a Box observation space, got Dict; for a Dict space pass the Box"
    ):
        as_space(spaces.Dict({"image": spaces.Box(0, 255, (16, 16, 3), np.uint8)}))
