"""Seeded edits of JSON, tensors and bytes, as damage or a stranger would make them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

ALLOWED = (ValueError, FileNotFoundError, TypeError)
"""What reading an edited file may raise."""
LONGEST = 600
"""Most characters of an error message."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 2**31, 2**63, 10**30, 10**400, -(10**19)),
    *(0.5, -0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")),
    *("", "x", "\x00", "\ud800", "object", "../..", "nan", "float32", "gaussian", "kl"),
    *([], [[]], {}, {"name": "kl"}, {"": {}}, [0] * 20, [10**9, 10**9], ["a"]),
)


def refusal(read: Callable[[], Any]) -> str:
    """Return the error message of reading what was edited; nothing where the edit is harmless."""
    try:
        read()
    except ALLOWED as error:
        return str(error)
    return ""


def is_one_line(message: str) -> bool:
    return "\n" not in message and len(message) < LONGEST


def nested(depth: int) -> Any:
    """A list in a list, ``depth`` times."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def places(tree: Any) -> list[tuple[Any, Any]]:
    """All containers in ``tree`` with each of their keys."""
    if not isinstance(tree, dict | list):
        return []
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    below = [place for key in keys for place in places(tree[key])]
    return [(tree, key) for key in keys] + below


def edit_json(tree: Any, rng: Generator) -> Any:
    """Return a copy of ``tree`` with a value deleted, renamed, retyped, scaled or moved."""
    tree = copy.deepcopy(tree)
    chosen = places(tree)
    if not chosen:
        return VALUES[rng.integers(len(VALUES))]
    container, key = chosen[rng.integers(len(chosen))]
    match rng.integers(7):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[f"{key}_"] = container.pop(key)
        case 2:
            container[key] = nested(int(rng.choice([3, 50, 200])))
        case 3 if isinstance(container[key], int | float):
            container[key] = container[key] * int(rng.choice([-1, 2, 1000, 10**9]))
        case 4:
            container[key] = copy.deepcopy(chosen[rng.integers(len(chosen))][0])
        case 5 if isinstance(container[key], str):
            container[key] += "x"
        case _:
            container[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return tree


def edit_tensors(tensors: dict[str, Tensor], rng: Generator) -> dict[str, Tensor]:
    """Return a copy with one tensor removed, renamed, reshaped, cast, emptied or not finite."""
    tensors = dict(tensors)
    name = sorted(tensors)[rng.integers(len(tensors))]
    tensor = tensors[name]
    match rng.integers(6):
        case 0:
            del tensors[name]
        case 1:
            tensors[f"{name}_"] = tensors.pop(name)
        case 2:
            tensors[name] = tensor.reshape(-1)[None]
        case 3:
            kinds = [torch.int8, torch.complex64, torch.float64, torch.float8_e4m3fn, torch.bool]
            tensors[name] = tensor.to(kinds[rng.integers(len(kinds))])
        case 4:
            tensors[name] = torch.empty(0, 2**40)
        case _:
            value = float(rng.choice([np.nan, np.inf, -np.inf]))
            tensors[name] = torch.full_like(tensor.float(), value)
    return tensors


def edit_bytes(file: Path, rng: Generator) -> None:
    """Flip bytes of a file, cut it, extend it or replace a part, in place."""
    data = bytearray(file.read_bytes())
    position = int(rng.integers(min(len(data), 2000) if rng.random() < 0.7 else len(data)))
    match rng.integers(4):
        case 0:
            data[position] ^= 1 << int(rng.integers(8))
        case 1:
            del data[position:]
        case 2:
            data += rng.bytes(int(rng.integers(1, 100)))
        case _:
            data[position : position + 8] = rng.bytes(8)
    file.write_bytes(data)
