"""Ctrl-C that waits for a safe moment."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back; the function that this yields raises it, at a moment of the caller's
    choice.

    A second Ctrl-C is not held back. One that is still held at the end is raised there.
    """
    held = threading.Event()

    def hold(*_: Any) -> None:
        held.set()
        signal.signal(signal.SIGINT, previous)

    def raise_held() -> None:
        if held.is_set():
            held.clear()
            raise KeyboardInterrupt

    if (
        threading.current_thread() is not threading.main_thread()
    ):  # Python allows handlers nowhere else
        yield raise_held
        return
    previous = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, hold)
    try:
        yield raise_held
    finally:
        signal.signal(signal.SIGINT, previous)
    raise_held()
