"""Cells of tables that the suite and the comparison of one environment share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scripts.studies.agent_runs import Record
from scripts.studies.suite.records import Difference

MODES = ("deterministic", "stochastic")
"""Modes of the policy that are evaluated."""
Found = Mapping[str, Sequence[Record]]
"""Results by arm."""


def best_return(record: Record) -> float:
    """Return that of the better mode of the policy; random actions have one mode."""
    return max(record.data[mode]["mean"] for mode in MODES if mode in record.data)


def evaluated(found: Sequence[Record]) -> str:
    """Return the mean return of the runs as a cell, empty without a run."""
    return number(mean([best_return(record) for record in found]))


def difference_cell(given: Difference | None) -> str:
    """Return a difference, its interval and its verdict as a cell."""
    if given is None:
        return ""
    if not np.isfinite(given.low):
        return f"{number(given.mean)} (one run)"
    bounds = f"{number(given.low)} to {number(given.high)}"
    return f"{number(given.mean)} ({bounds}) {given.verdict}"


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None; None without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def number(value: float | None) -> str:
    """Return a number of three digits as a cell, empty for None."""
    return "" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
