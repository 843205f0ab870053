"""How processes start: which method is safe, and one thread in each worker."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import connection
from typing import Any

GL_CONTEXTS = {
    "libGL.so.1": "glXGetCurrentContext",
    "libEGL.so.1": "eglGetCurrentContext",
    "libOSMesa.so.8": "OSMesaGetCurrentContext",
}
"""Functions that return the current context, by library."""

TERM_SECONDS = 60.0
"""Seconds that a worker lives on after SIGTERM: the main process may save within them."""


def start_method() -> str | None:
    """Return the start method of workers: the user's choice, or the platform's if it is safe.

    On Linux that is fork, with which scripts need no ``if __name__ == "__main__"``. A forked
    process cannot use the graphics context of its parent, and hangs when it draws: forkserver
    replaces fork where this process has one.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    if method is None and sys.platform == "linux":
        method = "fork"
    return "forkserver" if method == "fork" and has_gl_context() else method


def has_gl_context() -> bool:
    """Return whether this thread has a current OpenGL context (Linux)."""
    return sys.platform == "linux" and any(map(_current, *zip(*GL_CONTEXTS.items(), strict=True)))


def _current(library: str, function: str) -> bool:
    try:  # a library that nobody has loaded stays so
        current = getattr(ctypes.CDLL(library, os.RTLD_NOLOAD | os.RTLD_LAZY), function)
    except (OSError, AttributeError):
        return False
    current.restype = ctypes.c_void_p
    return bool(current())


def usable_cores() -> int:
    """Return the number of cores that this process may use, which can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_one_thread() -> None:
    """Let torch and OpenCV compute on one thread in this process, if they are imported.

    A forked process inherits the state of its parent's thread pools but not the threads, and waits
    for them for ever; and several workers with a pool each slow one another down.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)  # in a forked process, 1 crashes


def is_worker() -> bool:
    """Return whether ``multiprocessing`` started this process."""
    return multiprocessing.parent_process() is not None


def become_worker() -> None:
    """Leave signals to the main process, and end when it ends.

    SIGTERM, as schedulers and ``Process.terminate`` send it, acts after ``TERM_SECONDS``.
    """
    # Terminals and schedulers send these to all processes of a job. The main one saves, and closes
    # the workers, which it may need until then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A function, because a program that an environment starts inherits what is ignored.
    signal.signal(signal.SIGTERM, _end_later)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_later(*_: Any) -> None:
    end = threading.Timer(TERM_SECONDS, os._exit, [1])
    end.daemon = True
    end.start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=use_one_thread)
