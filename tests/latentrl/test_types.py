"""Observation spaces from shapes, to JSON and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.types import as_space, describe_space, space_from_json, space_to_json


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (96, 96, 3), np.uint8),
        spaces.Box(0, 1, (32, 32, 1), np.float32),
        spaces.Box(-np.inf, np.inf, (8,), np.float64),
        spaces.Box(-128, 127, (20, 20), np.int8),
        spaces.Box(-np.inf, np.inf, (12, 4), np.float32),
    ],
)
def test_json_round_trip(space: spaces.Box) -> None:
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


def test_a_sequence_is_its_box() -> None:
    box = spaces.Box(-np.inf, np.inf, (12, 4), np.float32)
    assert as_space(box) is box


def test_shapes_mean_images_or_vectors() -> None:
    assert as_space((64, 64, 3)) == spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert as_space((64, 64)) == spaces.Box(0, 255, (64, 64), np.uint8)
    assert as_space([8]) == spaces.Box(-np.inf, np.inf, (8,), np.float32)


def test_spaces_are_named_by_shape_and_dtype() -> None:
    assert describe_space(spaces.Box(0, 255, (96, 96, 3), np.uint8)) == "(96, 96, 3) uint8"
    assert describe_space(spaces.Discrete(4)) == "Discrete(4)"


def test_other_spaces_are_refused() -> None:
    with pytest.raises(
        TypeError, match="expected a Box observation space, got Dict; for a Dict space pass the Box"
    ):
        as_space(spaces.Dict({"image": spaces.Box(0, 255, (16, 16, 3), np.uint8)}))
