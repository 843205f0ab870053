"""Calls in forked processes, with limits of time and memory: a crash or a hang is an answer."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

FORK = multiprocessing.get_context("fork")
POLL = 0.001
PR_SET_PDEATHSIG = 1
WARM_SECONDS = 120
MIB = 2**20
GIB = 2**30


@dataclass(frozen=True)
class Answer:
    """What became of one call in a process."""

    value: Any = None
    """Value that the function returned."""
    ended: str = ""
    """How the process ended instead of answering; empty where it answered."""


class Worker:
    """A forked process that calls one function again and again; a dead one is replaced.

    The process inherits every import, so that it starts in milliseconds. It leads a process group
    of its own, and the whole group is killed with it.
    """

    def __init__(
        self, function: Callable[..., Any], seconds: float, memory: int | None = None
    ) -> None:
        """Prepare calls of ``function``.

        Args:
            function: called in the process.
            seconds: time limit of one call.
            memory: bytes that the process may allocate beyond those at its start.
        """
        self.function, self.seconds, self.memory = function, seconds, memory
        self._process: Any = None
        self._connection: Any = None

    def __call__(self, *arguments: Any) -> Answer:
        """Call the function with ``arguments`` in the process."""
        if self._process is None:
            self._start()
        self._connection.send(arguments)
        try:
            if self._connection.poll(self.seconds):
                value, error = self._connection.recv()
                if error:
                    raise RuntimeError(error)  # of the study itself
                return Answer(value)
            ended = f"no answer in {self.seconds:g} s"
        except (EOFError, ConnectionResetError):
            self._process.join()
            ended = exit_name(self._process.exitcode)
        self.close()
        return Answer(ended=ended)

    def _start(self) -> None:
        self._connection, theirs = FORK.Pipe()
        arguments = (theirs, self._connection, self.function, self.memory)
        self._process = FORK.Process(target=_serve, args=arguments)
        self._process.start()
        theirs.close()

    def close(self) -> None:
        """Kill the process and everything that it started."""
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.join()
            self._connection.close()
            self._process = None


def _serve(
    connection: Connection, parent: Connection, function: Callable[..., Any], memory: int | None
) -> None:
    parent.close()
    become_quiet_leader()
    if memory is not None:
        limit = 1024 * status("VmData") + memory
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_called(function, connection.recv()))


def _called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str]:
    try:
        return function(*arguments), ""
    except Exception:
        return None, traceback.format_exc()


def become_quiet_leader() -> None:
    """Make this process the leader of a group that prints nothing and dies with the study."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (GIB, GIB))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    faulthandler.disable()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115


def warm(function: Callable[[], object]) -> None:
    """Call a function in a process, and import here what it imported, for later processes."""

    def modules() -> list[str]:
        with contextlib.suppress(Exception, SystemExit):
            function()
        return sorted(sys.modules)

    with contextlib.closing(Worker(modules, WARM_SECONDS)) as worker:
        found = worker().value or []
    for name in found:
        with contextlib.suppress(Exception):  # some modules are made by others, without a file
            importlib.import_module(name)


def start(function: Callable[..., object], *arguments: Any, log: Path) -> Any:
    """Start ``function`` in a forked process; what it prints and its exception go to ``log``."""
    process = FORK.Process(target=_logged, args=(function, arguments, log))
    process.start()
    return process


def _logged(function: Callable[..., object], arguments: tuple[Any, ...], log: Path) -> None:
    become_quiet_leader()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    function(*arguments)


def ended_within(process: Any, seconds: float) -> bool:
    """Wait for a process of ``start``; one that still runs after ``seconds`` is killed."""
    ended = wait(process, seconds)
    kill_group(process.pid)
    process.join()
    return ended


def wait(process: Any, seconds: float) -> bool:
    """Wait for a process, and return whether it ended within ``seconds``."""
    # A ``join`` with a time limit waits for the children that the process leaves, too.
    end = time.monotonic() + seconds
    while process.exitcode is None and time.monotonic() < end:
        time.sleep(POLL)
    return process.exitcode is not None


def kill_group(leader: int) -> None:
    """Kill the processes of a group, of which the leader may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def members(leader: int) -> list[int]:
    """Return the processes of a group that still run."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, group = file.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state != "Z":
                found.append(int(file.parent.name))
    return found


def exit_name(code: int | None) -> str:
    """Return the end of a process in words: a signal or an exit status."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def status(field: str, pid: int | str = "self") -> int:
    """Return a number of ``/proc/PID/status``, such as ``VmRSS`` in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(next(values))


def reset_peak() -> None:
    """Reset ``VmHWM``, the peak of the resident memory."""
    Path("/proc/self/clear_refs").write_text("5")


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Keep torch on one thread, because a process is forked without the threads of a pool."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
