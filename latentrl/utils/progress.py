"""Progress bars for a terminal and for a log file."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

LOG_INTERVAL = 15.0
"""Seconds between two lines if the output is not a terminal."""
NESTED_DELAY = 1.0
"""Seconds after which a nested progress bar appears."""


def progress_bar(
    total: int | None, done: int, doing: str, unit: str, show: bool, nested: bool = False
) -> tqdm[Any]:
    """Progress bar with the rate and the remaining time.

    Args:
        total: number of units at the end; None where it is unknown, and then no time is estimated.
        done: number of units at the start, from a run that is resumed.
        doing: present participle, such as ``"training"``.
        unit: name of a unit, such as ``"step"``.
        show: whether to print anything.
        nested: whether it is below another bar. Then it is cleared at its end, and a short one does
            not appear.
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
        miniters=0,  # a bar whose units take minutes is refreshed by updates of 0
        leave=not nested,
        delay=NESTED_DELAY if nested else 0.0,
        dynamic_ncols=True,
    )
