"""Values of files against annotations: what fits is returned, what does not is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from latentrl.utils.decoding import Between, Items, Layers, decode, hints_of
from latentrl.utils.registry import Registry


@dataclass(frozen=True)
class Size:
    """A dataclass inside another."""

    height: Annotated[int, Between(1, 9)]
    width: int = 1


@dataclass(frozen=True)
class Config:
    """One field of each kind."""

    name: str
    size: Size | None = None
    crop: tuple[int, float] = (0, 0.0)
    kind: Literal["a", 1] = "a"
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: Annotated[Sequence[Size], Items(0, 2)] = ()
    flag: bool = False
    either: int | str = 0


def test_json_becomes_dataclasses_and_tuples() -> None:
    data = {"name": "x", "size": {"height": 3}, "crop": [1, 2], "parts": [{"height": 1}]}
    expected = Config("x", Size(3), (1, 2), parts=[Size(1)])
    assert decode(Config, data, "c") == expected
    assert decode(Config, {"name": "x", "size": None}, "c") == Config("x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], r"^c is a mapping with names as keys, got \[\]$"),
        ({1: 2}, r"^c is a mapping with names as keys, got \{1: 2\}$"),
        ({}, "^c lacks 'name'$"),
        ({"nam": 1}, "^unknown field 'nam' in c; known: crop, either, flag, kind, name, options"),
        ({"name": 3}, "^name of c is a string, got 3$"),
        ({"name": "x" * 99, "flag": "x" * 99}, r"^flag of c is true or false, got 'x+\.\.\.$"),
        ({"name": "x", "flag": 1}, "^flag of c is true or false, got 1$"),
        ({"name": "x", "size": 3}, "^size of c is a mapping with names as keys, got 3$"),
        ({"name": "x", "size": {}}, "^size of c lacks 'height'$"),
        ({"name": "x", "size": {"height": 10}}, "^height of size of c lies between 1 and 9, got 1"),
        ({"name": "x", "size": {"height": True}}, "^height of size of c is a whole number, got T"),
        ({"name": "x", "size": {"height": 1.0}}, "^height of size of c is a whole number, got 1"),
        ({"name": "x", "crop": [1]}, r"^crop of c has 2 items, got \[1\]$"),
        ({"name": "x", "crop": [1, "2"]}, "^item 1 of crop of c is a number, got '2'$"),
        ({"name": "x", "crop": [1, 10**400]}, "^item 1 of crop of c is a number, got 1000"),
        ({"name": "x", "crop": [1, float("nan")]}, "^item 1 of crop of c is a number, got nan$"),
        ({"name": "x", "crop": "ab"}, "^crop of c is a list, got 'ab'$"),
        ({"name": "x", "kind": True}, "^kind of c is one of 'a', 1, got True$"),
        ({"name": "x", "kind": ["a"]}, r"^kind of c is one of 'a', 1, got \['a'\]$"),
        ({"name": "x", "options": [1]}, r"^options of c is a mapping with names as keys, got \[1"),
        ({"name": "x", "parts": [{}] * 3}, "^parts of c has between 0 and 2 items, got 3$"),
        ({"name": "x", "parts": [{}]}, "^item 0 of parts of c lacks 'height'$"),
        ({"name": "x", "either": None}, "^either of c is a whole number or a string, got None$"),
    ],
)
def test_values_that_do_not_fit_are_named(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(Config, data, "c")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, 3),
        (float, float("inf")),
        (float, np.float32(2)),
        (int, np.int64(3)),
        (Layers, (1, 2)),
        (Layers, [1, 2]),
        (None, None),
        (dict[str, int], {"a": 1}),
        (list[int], [1]),
        (tuple[int, ...], (1, 2, 3)),
        (Any, object),
        (np.ndarray, "unchecked"),
    ],
)
def test_values_that_fit_are_returned(kind: Any, value: Any) -> None:
    assert decode(kind, value, "it") == value
    assert type(decode(kind, value, "it")) is type(value)


def test_options_of_components_are_checked_by_their_annotations() -> None:
    sizes: Registry[Any] = Registry("size")
    sizes.register("box")(Size)
    assert sizes.build({"name": "box", "height": 2}) == Size(2)
    with pytest.raises(ValueError, match="height of size 'box' lies between 1 and 9, got 0"):
        sizes.build({"name": "box", "height": 0})
    with pytest.raises(ValueError, match="width of size 'box' is a whole number, got '3'"):
        sizes.build({"name": "box", "height": 2, "width": "3"})
    with pytest.raises(ValueError, match=r"unknown size \['box'\]; known: box"):
        sizes.build({"name": ["box"]})


def test_annotations_for_type_checkers_alone_are_not_checked() -> None:
    def function(size: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Take anything."""

    assert hints_of(function) == {}
