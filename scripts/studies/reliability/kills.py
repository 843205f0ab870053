"""Jobs that are killed or interrupted at random moments, and then resumed."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.studies.core import FOLDER, Study, Table
from scripts.studies.reliability.extent import Extent, wrong_row
from scripts.studies.reliability.jobs import COUNTER, JOBS, Job, count_progress
from scripts.studies.reliability.processes import (
    Worker,
    ended_within,
    exit_name,
    members,
    single_thread,
    start,
    wait,
    warm,
)
from scripts.studies.reliability.record import recorded

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
LIMIT = 60.0
"""Seconds in which a job ends after its signal, and in which it is done when resumed."""
GRACE = 3.0
"""Seconds in which the workers of a job that ended end, too."""
POLL = 0.0005
LARGEST_DELAY = 0.05
"""Largest delay in seconds between the chosen progress and the signal."""


@dataclass(frozen=True)
class Stop:
    """What became of one job that was stopped."""

    job: str
    """Name of the job."""
    signal: str
    """Name of the signal, and whether it went to the whole process group."""
    reached: int
    """Progress when the signal was sent."""
    saved: int
    """Progress on disk afterwards."""
    wrong: str
    """What went wrong; empty where nothing did."""


class Stopper:
    """Stops one job after the other, each in a folder of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Use ``folder``; ``seed`` decides jobs, signals and moments."""
        self.folder, self.seed = folder, seed
        self.log = folder / "log"
        self.results: dict[str, str] = {}

    def stop(self, number: int) -> Stop:
        """Run a job, send it a signal, look at what is on disk, resume it and use the result."""
        rng = np.random.default_rng([self.seed, number])
        job, sent = JOBS[number % len(JOBS)], SIGNALS[int(rng.integers(len(SIGNALS)))]
        everyone = sent != signal.SIGKILL and bool(rng.integers(2))
        if job.name not in self.results:
            self._prepare(job)
            warm(functools.partial(_job, self.folder, job))
            self._prepare(job)
            error, self.results[job.name] = self._finish(job)
            if error:
                raise RuntimeError(f"{job.name} without an interruption: {error}")
        self._prepare(job)
        reached, ended = self._interrupted(job, sent, everyone, rng)
        name = f"{sent.name} to {'the group' if everyone else 'the process'}"
        saved, problem = self._saved(job, reached if sent != signal.SIGKILL else 0)
        problem = ended or problem or self._resumed(job)
        return Stop(job.name, name, reached, saved, problem)

    def _prepare(self, job: Job) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._in_process(job.prepare)

    def _in_process(self, function: Any) -> Any:
        attempt = functools.partial(_attempt, self.folder, function)
        with contextlib.closing(Worker(attempt, LIMIT)) as worker:
            answer = worker()
            return (None, answer.ended) if answer.ended else answer.value

    def _interrupted(
        self, job: Job, sent: signal.Signals, everyone: bool, rng: np.random.Generator
    ) -> tuple[int, str]:
        COUNTER.value = 0
        process = start(_job, self.folder, job, log=self.log)
        # Below 0 is before the first step, above the total is while the result is written.
        moment = rng.uniform(-0.1, 1.1) * job.total
        while process.exitcode is None and COUNTER.value < min(moment, job.total):
            time.sleep(POLL)
        time.sleep(rng.uniform(0, LARGEST_DELAY))
        reached = COUNTER.value
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(process.pid, sent)
        wait(process, LIMIT)
        alive = _wait_for_group(process.pid)
        if not ended_within(process, 0):
            return reached, f"still runs {LIMIT:.0f} s after the signal"
        if alive:
            return reached, f"{len(alive)} processes are left"
        orderly = {0, 130, -sent}
        ended = "" if process.exitcode in orderly else exit_name(process.exitcode) + self._last()
        return reached, ended

    def _last(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _saved(self, job: Job, expected: int) -> tuple[int, str]:
        saved, error = self._in_process(job.saved)
        if error:
            return 0, f"what is on disk does not load: {error}"
        lost = f"{saved} of {expected} are saved" if saved < expected else ""
        return saved, lost

    def _resumed(self, job: Job) -> str:
        error, result = self._finish(job)
        if error:
            return error
        if result != self.results[job.name]:
            return "the result is not that of a job without an interruption"
        left = [path.name for path in self.folder.rglob("*.tmp*")]
        return f"left behind: {left[0]}" if left else ""

    def _finish(self, job: Job) -> tuple[str, str]:
        """Run or resume a job to its end; return what went wrong, and the result."""
        process = start(_job, self.folder, job, log=self.log)
        if not ended_within(process, LIMIT):
            return f"is not done {LIMIT:.0f} s after it was resumed", ""
        if process.exitcode:
            return f"cannot be resumed, {exit_name(process.exitcode)}{self._last()}", ""
        result, error = self._in_process(job.result)
        return (f"the result cannot be used: {error}" if error else ""), result or ""


def _attempt(folder: Path, function: Any) -> tuple[Any, str]:
    os.chdir(folder)
    try:
        return function(), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _job(folder: Path, job: Job) -> None:
    os.chdir(folder)
    count_progress()
    try:
        job.run()
    except KeyboardInterrupt:
        sys.exit(130)


def _wait_for_group(leader: int) -> list[int]:
    end = time.monotonic() + GRACE
    while (alive := members(leader)) and time.monotonic() < end:
        time.sleep(0.01)
    return alive


def study(extent: Extent) -> Study:
    """Jobs that are stopped at random moments by kill -9, SIGTERM, SIGHUP and Ctrl-C.

    The jobs are small and forked from a process that has imported everything, so that each takes
    about a second. Afterwards everything on disk must load, frames must lie beside their records,
    no process may be left, and the same command with `--resume` must finish the job; a resumed
    `fit` must end with the bits of one that was not interrupted, and no temporary file may be left.
    After SIGTERM, SIGHUP and Ctrl-C all progress must be saved.
    """
    folder = FOLDER.resolve() / "reliability" / "kills"
    stopper = Stopper(folder, extent.seed)
    with single_thread():
        found = list(_reported(extent, stopper))
    return summary(found)


def _reported(extent: Extent, stopper: Stopper) -> Iterator[Stop]:
    def run(number: int) -> Stop:
        stop = stopper.stop(number)
        if stop.wrong:
            text = f"{stop.job}, {stop.signal} at {stop.reached}: {stop.wrong}"
            extent.report("kills", number, text)
        return stop

    return recorded("kills", extent, Stop, run)


def summary(found: Sequence[Stop]) -> Study:
    """Return the table of jobs and signals."""
    wrong = sum(bool(each.wrong) for each in found)
    names = [job.name for job in JOBS]
    signals = sorted({each.signal for each in found})
    rows = [[name, *(_cell(found, name, sent) for sent in signals)] for name in names]
    table = Table("Wrong outcomes of all, by job and signal", ["job", *signals], rows)
    return Study([wrong_row("jobs that lost something", len(found), wrong)], [table])


def _cell(found: Sequence[Stop], job: str, sent: str) -> str:
    ours = [each for each in found if (each.job, each.signal) == (job, sent)]
    return f"{sum(bool(each.wrong) for each in ours)} of {len(ours)}"
