"""Ctrl-C, SIGTERM and SIGHUP as one orderly interruption, and its delay to a safe point."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals by which schedulers, service managers and closed terminals end a process."""


@contextlib.contextmanager
def orderly_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread, as Ctrl-C does.

    Only the first one does: a scheduler repeats them, and none may interrupt the saving that the
    first one started. A signal that is ignored, as SIGHUP is under ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows signal handlers in the main thread only.
        return
    previous = {name: signal.getsignal(name) for name in ENDING}
    changed = [name for name, handler in previous.items() if handler is not signal.SIG_IGN]

    interrupted = threading.Event()

    def interrupt(*_: Any) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    for name in changed:
        signal.signal(name, interrupt)
    try:
        yield
    finally:
        for name in changed:
            signal.signal(name, previous[name])


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until the caller calls the function that this yields.

    That function calls the handler of the signal that came, which raises KeyboardInterrupt. A second
    Ctrl-C is not held back. One that is still held at the end of the context is raised there.
    SIGTERM and SIGHUP are held inside ``orderly_interrupts`` alone; elsewhere they keep their
    default actions. In other threads than the main one nothing is held back.
    """
    held: list[int] = []
    handlers: dict[int, Callable[..., Any]] = {}

    def hold(number: int, _: Any) -> None:
        held.append(number)
        if number == signal.SIGINT:
            signal.signal(number, handlers[number])  # for a second Ctrl-C

    def raise_held() -> None:
        if held:
            number = held[0]
            held.clear()
            handlers[number](number, None)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *ENDING):
            handler = signal.getsignal(number)
            if callable(handler):  # and so neither the default action nor an ignored signal
                handlers[number] = handler
    for number in handlers:
        signal.signal(number, hold)
    try:
        yield raise_held
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    raise_held()


def leave_interrupts_to_the_main_process() -> None:
    """Prepare a worker process: Ctrl-C and SIGHUP reach every process of a terminal.

    The main process alone handles them, and then closes its workers. SIGTERM ends a worker at once,
    also where the worker inherited a handler.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ENDING:
        signal.signal(name, signal.SIG_DFL if name == signal.SIGTERM else signal.SIG_IGN)
