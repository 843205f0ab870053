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
        plain = {}
        for key, value in info.items():
            held = infos.get(key)
            if isinstance(held, np.ndarray | dict) and not _fits(value, held):
                infos[key] = held = _as_objects(held, envs.num_envs)
            if isinstance(value, dict) and isinstance(held, np.ndarray):
                held[index] = value  # Gymnasium would take the array for a dict
                infos[f"_{key}"][index] = True
            else:
                plain[key] = value
        merged: dict[str, Any] = add(envs, infos, plain, index)
        return merged

    # A method of the object: the vector environment can be the user's own.
    envs._add_info = add_info  # type: ignore[assignment, method-assign]


def info_row(values: Any, i: int) -> Any:
    """Return the value of environment ``i``; the values of a dict may have masks of their own."""
    if not isinstance(values, dict):
        return values[i]
    masks = values.keys() & {f"_{key}" for key in values}
    return {
        key: info_row(value, i)
        for key, value in values.items()
        if key not in masks and (f"_{key}" not in masks or values[f"_{key}"][i])
    }


def _fits(value: Any, held: Any) -> bool:
    if isinstance(held, dict) or isinstance(value, dict):
        return isinstance(held, dict) and isinstance(value, dict)
    if held.dtype == object:
        return True
    if not isinstance(value, int | float | np.generic | np.ndarray):
        return False
    same_shape: bool = np.shape(value) == held.shape[1:]
    # An array of whole numbers would cut off the fraction of another environment's value.
    return same_shape and np.can_cast(np.asarray(value).dtype, held.dtype)


def _as_objects(held: Any, count: int) -> Array:
    objects = np.empty(count, object)
    for i in range(count):
        objects[i] = info_row(held, i)
    return objects
