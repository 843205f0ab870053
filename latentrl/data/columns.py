"""Names of the columns of data frames and tables, which keep the order of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from latentrl.types import Array

LISTED = 10
"""Most names in an error message."""


class DataFrame(Protocol):
    """A data frame, of pandas or of Polars."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def to_numpy(self) -> Any:
        """Return the values, ``(N, D)``."""


def is_data_frame(source: Any) -> bool:
    """Return whether ``source`` is a data frame."""
    return hasattr(source, "columns") and hasattr(source, "to_numpy")


def values_of(data_frame: DataFrame) -> Array:
    """Return the values of a data frame, ``(N, D)``; whole numbers and booleans are float64."""
    values: Array = data_frame.to_numpy()
    if values.dtype.kind in "iubO":  # objects are also what columns of several types make
        with contextlib.suppress(ValueError, TypeError):
            return values.astype(np.float64)
    return values


def column_names(source: Any) -> list[str] | None:
    """Return the names of the columns of a data frame or of ``Frames`` of a table.

    It is None where there are none, or where not all of them are strings.
    """
    columns = getattr(source, "columns", None)
    names = [] if columns is None else list(columns)
    return names if names and all(isinstance(name, str) for name in names) else None


def check_columns(names: Sequence[str] | None, expected: Sequence[str] | None) -> None:
    """Raise ``ValueError`` where the columns are others, or in another order; None fits all."""
    if names is None or expected is None or list(names) == list(expected):
        return
    if sorted(names) == sorted(expected):
        at = next(i for i, name in enumerate(names) if name != expected[i])
        raise ValueError(
            f"the columns are not in the order of training: column {at} is {names[at]!r}, expected "
            f"{expected[at]!r}; order them as {_listed(expected)}; in pandas, table[model.columns]"
        )
    missing = [name for name in expected if name not in names]
    others = [name for name in names if name not in expected]
    raise ValueError(
        f"expected the columns of the training, {_listed(expected)}; missing: {_listed(missing)}; "
        f"not in the training: {_listed(others)}"
    )


def _listed(names: Sequence[str]) -> str:
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return ", ".join([*names[:LISTED], *more]) or "none"
