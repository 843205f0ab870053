"""The clock of a run: seconds of its core, which a neighbour on the machine cannot take from it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path


def core_seconds() -> float:
    """Return the CPU time of this process and its children, in seconds.

    One core that nobody else uses takes this long: a run steps its environments and trains by
    turns. Some simulators are processes of their own, whose time counts; where there is no
    ``/proc``, it counts after their end.
    """
    ended = os.times()
    living = sum(_ticks(process) for process in _children()) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + ended.children_user + ended.children_system + living


def _children() -> Iterator[str]:
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            yield from task.read_text().split()


def _ticks(process: str) -> int:
    """Return the CPU time of a process and of its ended children."""
    with contextlib.suppress(OSError):
        # A name in parentheses may hold spaces; user and system time are fields 14 to 17.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0
