"""Ctrl-C that is delayed to a safe point."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the caller calls the function that this yields.

    That function raises KeyboardInterrupt if Ctrl-C was pressed. A second Ctrl-C is not held back.
    One that is still held at the end of the context is raised there. In other threads than the main
    one nothing is held back.
    """
    held = threading.Event()

    def hold(*_: Any) -> None:
        held.set()
        signal.signal(signal.SIGINT, previous)  # for a second Ctrl-C

    def raise_held() -> None:
        if held.is_set():
            held.clear()
            raise KeyboardInterrupt

    # Python allows signal handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        yield raise_held
        return
    previous = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, hold)
    try:
        yield raise_held
    finally:
        signal.signal(signal.SIGINT, previous)
    raise_held()
