"""Infos of environments that step together, also where their values have no common shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from latentrl.types import Array


def keep_any_infos(envs: VectorEnv[Any, Any, Any]) -> None:
    """Let infos of ``envs`` hold values of any shape, from now on.

    Gymnasium makes one array of the values of a key, and raises where one of them does not fit, as
    a list of objects that grows. Such values become an array of Python objects here.
    """
    add = type(envs)._add_info

    def add_info(infos: dict[str, Any], info: dict[str, Any], index: int) -> dict[str, Any]:
        for key, value in info.items():
            held = infos.get(key)
            if isinstance(held, np.ndarray) and not _fits(value, held):
                infos[key] = _as_objects(held)
        merged: dict[str, Any] = add(envs, infos, info, index)
        return merged

    # A method of the object: the vector environment can be the user's own.
    envs._add_info = add_info  # type: ignore[assignment, method-assign]


def _fits(value: Any, held: Array) -> bool:
    numeric = isinstance(value, int | float | np.generic | np.ndarray)
    return held.dtype == object or (numeric and np.shape(value) == held.shape[1:])


def _as_objects(rows: Array) -> Array:
    objects = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        objects[i] = row
    return objects
