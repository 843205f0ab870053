"""Imports of modules that a user names."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_named(module: str, message: str) -> ModuleType:
    """Import ``module``.

    Raises:
        ValueError: there is no such module; with ``message``.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is there and fails to import another one keeps its traceback.
        if error.name != module and not module.startswith(f"{error.name}."):
            raise
        raise ValueError(message) from error
