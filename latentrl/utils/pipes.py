"""Pipes to worker processes: time limits, and errors that name the environment."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.process import BaseProcess
from typing import Any

import gymnasium as gym

from latentrl.utils.environments import raised

TIMEOUT = 120.0
"""Seconds that a worker may take for one answer."""
CLOSE_TIMEOUT = 5.0
"""Seconds that workers may take to close; then they are killed."""


KINDS = (ValueError, FileNotFoundError, gym.error.Error)
"""Exceptions that stay of their kind on the way from a worker; others become ``WorkerError``."""


class WorkerError(gym.error.Error):
    """A worker process died, did not answer in time or raised; the message names it."""


class WorkerPipe:
    """Parent's end of the pipe to a worker, whose failures ``send`` and ``recv`` raise."""

    def __init__(
        self, pipe: Connection, process: BaseProcess, index: int | None, timeout: float = TIMEOUT
    ) -> None:
        """Wrap a pipe.

        Args:
            pipe: parent's end.
            process: the worker.
            index: number of its environment, None where there is one alone.
            timeout: seconds that an answer may take.
        """
        self.pipe, self.process, self.index, self.timeout = pipe, process, index, timeout
        self.name = "the environment" if index is None else f"environment {index}"

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the pipe."""
        return getattr(self.pipe, name)

    def send(self, message: Any) -> None:
        """Send a command.

        Raises:
            WorkerError: the worker ended.
        """
        with self.ended():
            self.pipe.send(message)

    def recv(self) -> Any:
        """Return the next answer.

        Raises:
            WorkerError: the worker ended, or did not answer in time.
            Exception: what the environment raised.
        """
        self.wait()
        with self.ended():
            answer = self.pipe.recv()
        if isinstance(answer, Failure):
            text = answer.text if self.index is None else f"{self.name}: {answer.text}"
            raise answer.kind(text) from WorkerError(f"\n{answer.trace}")
        return answer

    def wait(self) -> None:
        """Wait for an answer; without one in time, kill the worker and raise ``WorkerError``."""
        if self.pipe.poll():
            return
        # The process, too: siblings that inherited the end of a dead worker keep its pipe open.
        ready = wait_for_any([self.pipe, self.process.sentinel], self.timeout)
        if not ready:
            self.process.kill()
            raise WorkerError(
                f"{self.name} did not answer within {self.timeout:g} s: look for what it waits for"
            )
        if not self.pipe.poll():
            self.check_alive()

    def check_alive(self) -> None:
        """Raise ``WorkerError`` if the process has ended."""
        self.process.join(1)
        if not self.process.is_alive():
            raise WorkerError(f"{self.name} is lost: its process {end_of(self.process)}")

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """Turn a broken pipe into a ``WorkerError`` with the end of the process."""
        try:
            yield
        except (EOFError, ConnectionError):
            self.check_alive()
            raise


def end_of(process: BaseProcess) -> str:
    """Describe how a process ended: ``was killed by SIGKILL``."""
    code = process.exitcode or 0
    if code >= 0:
        return f"ended with exit code {code}"
    hint = " (is there too little memory?)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def stop_workers(
    processes: Sequence[BaseProcess], pipes: Sequence[Any], timeout: float = CLOSE_TIMEOUT
) -> None:
    """Send workers the command to close, and kill those that still run after ``timeout`` seconds.

    Nothing is raised: an error that is on its way must not be replaced by one of closing.
    """
    for pipe in pipes:
        with contextlib.suppress(OSError, AttributeError, WorkerError):
            pipe.send(("close", None))
    end = time.monotonic() + timeout
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    for pipe in pipes:
        with contextlib.suppress(OSError, AttributeError):
            pipe.close()


@dataclass(frozen=True)
class Failure:
    """An exception in a worker, as it goes through the pipe."""

    kind: type[Exception]
    """Type of the exception to raise in the parent."""
    text: str
    """Its message, after the name of its type where that is not ``kind``."""
    trace: str
    """Traceback in the worker."""

    @classmethod
    def of(cls, error: BaseException, trace: str) -> Failure:
        """Describe ``error``, whose own type need not exist in the parent."""
        for kind in KINDS:
            if isinstance(error, kind):
                return cls(kind, f"{error}", trace)
        return cls(WorkerError, f"it raised {raised(error)}", trace)
