"""Progress bars for a terminal and for a log file."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

LOG_INTERVAL = 15.0
"""Seconds between two lines if the output is not a terminal."""


def progress_bar(total: int, done: int, doing: str, unit: str, show: bool) -> tqdm[Any]:
    """Progress bar with the rate and the remaining time.

    Args:
        total: number of units at the end.
        done: number of units at the start, from a run that is resumed.
        doing: present participle, such as ``"training"``.
        unit: name of a unit, such as ``"step"``.
        show: whether to print anything.
    """
    # In a log file each refresh is a line of its own.
    interval = 0.1 if sys.stderr.isatty() else LOG_INTERVAL
    return tqdm(
        total=total,
        initial=done,
        desc=doing,
        unit=unit,
        disable=not show,
        mininterval=interval,
        maxinterval=interval,
        dynamic_ncols=True,
    )
