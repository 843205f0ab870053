"""Progress bars that suit a terminal and a log file alike."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

LOG_INTERVAL = 15.0
"""Seconds between two lines where the output is not a terminal."""


def progress_bar(total: int, done: int, doing: str, unit: str, show: bool) -> tqdm[Any]:
    """Return a bar with rate and time left, which prints a line now and then where there is no
    terminal.
    """
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
