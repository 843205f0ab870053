"""A soak: collect, pretrain, train, evaluate and be killed, again and again in one process."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import latentrl as lrl
from latentrl.utils.io import read_json, write_json
from scripts.studies.core import FOLDER, Row, Study, Table
from scripts.studies.reliability.command_line import call
from scripts.studies.reliability.extent import Extent, wrong_row
from scripts.studies.reliability.problems import (
    Counting,
    check_counting,
    pretrain_flags,
    register_counting,
    train_flags,
)
from scripts.studies.reliability.processes import (
    Worker,
    ended_within,
    members,
    single_thread,
    start,
    status,
    wait,
)

ROUND_SECONDS = 300.0
"""Time limit of one round."""
GROWTH = {
    "mebibytes": ("resident memory, MiB", 20),
    "files": ("open files", 0),
    "threads": ("threads", 0),
    "temporary": ("temporary files", 0),
    "processes": ("processes left", 0),
}
"""What is counted after each round, and how much it may grow from the first third to the last."""
FIRST_ROUNDS = 4
"""Rounds whose measurements do not count: memory still grows with what is used first."""
PAUSE = 1.0
"""Seconds in which the workers of a job that was killed end."""
LONGEST_WAIT = 4.0
"""Largest number of seconds after which a job is killed."""


@dataclass(frozen=True)
class Round:
    """What one round left in the process that runs all of them."""

    seconds: float
    """Time of the round."""
    mebibytes: float = 0
    """Resident memory."""
    files: int = 0
    """Open files."""
    threads: int = 0
    """Threads."""
    temporary: int = 0
    """Temporary files in the folder of the round and in that of the system."""
    processes: int = 0
    """Processes of the group, without the one that runs the rounds."""
    wrong: str = ""
    """What went wrong; empty where nothing did."""


def _round(folder: Path, seed: int, number: int) -> Round:
    """Run all stages in this process, and kill and resume one of them in another."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "system")
    os.mkdir(tempfile.tempdir)
    begin = time.perf_counter()
    rng = np.random.default_rng([seed, number])
    stages = _stages(int(rng.integers(1_000)), ("ppo", "dqn")[number % 2])
    wrong = ""
    try:
        killed = number % len(stages)
        for place, stage in enumerate(stages):
            if place == killed:
                _kill(stage, rng.uniform(0, LONGEST_WAIT), folder / "log")
            stage()
    except (Exception, SystemExit) as error:
        wrong = f"{type(error).__name__}: {error}"
    return _measured(time.perf_counter() - begin, _temporary(folder), wrong)


def _stages(seed: int, algorithm: str) -> list[Callable[[], object]]:
    def collect() -> None:
        check_counting(lrl.collect(Counting, 500, "store", seed=seed, n_envs=2, progress=False))

    def pretrain() -> None:
        flags = pretrain_flags(steps=20, seed=seed, out="encoder")
        call("pretrain_vae", *flags, *_resumed("encoder/pretraining.json"))

    def train() -> None:
        flags = train_flags(
            algorithm, env=register_counting(), timesteps=128, seed=seed, vae="encoder", out="agent"
        )
        call("train_agent", *flags, *_resumed("agent/training.json"))

    def evaluate() -> None:
        call("evaluate_agent", "--agent", "agent", "--episodes", 2)

    return [collect, pretrain, train, evaluate]


def _resumed(flags: str) -> list[str]:
    return ["--resume"] if Path(flags).exists() else []


def _kill(stage: Callable[[], object], seconds: float, log: Path) -> None:
    process = start(stage, log=log)
    wait(process, seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    time.sleep(PAUSE)  # workers end when they find their parent dead
    left = members(process.pid)
    ended_within(process, 0)
    if left:
        raise RuntimeError(f"{len(left)} processes are left by a job that was killed")


def _temporary(folder: Path) -> int:
    return len([*folder.rglob("*.tmp*"), *(folder / "system").iterdir()])


def _measured(seconds: float, temporary: int, wrong: str) -> Round:
    # Objects in cycles hold memory maps, and so open files, until they are collected.
    gc.collect()
    return Round(
        seconds,
        status("VmRSS") / 1024,
        len(os.listdir("/proc/self/fd")),
        status("Threads"),
        temporary,
        len(members(os.getpgrp())) - 1,
        wrong,
    )


def study(extent: Extent) -> Study:
    """A soak: collection, pretraining, training and evaluation again and again in one process.

    In each round one of the stages is first killed at a random moment, in a process of its own, and
    then resumed. After each round the resident memory, the open files and the threads of the
    process are counted, and the temporary files and the processes that are left; none of them may
    grow. An interrupted soak continues.
    """
    folder = FOLDER.resolve() / "reliability" / "soak"
    record = folder.with_suffix(".json")
    rounds = [Round(**each) for each in read_json(record)] if record.exists() else []
    attempt = functools.partial(_round, folder, extent.seed)
    with single_thread(), contextlib.closing(Worker(attempt, ROUND_SECONDS)) as worker:
        while sum(each.seconds for each in rounds) < extent.count:
            answer = worker(len(rounds))
            found = answer.value or Round(ROUND_SECONDS, wrong=answer.ended)
            if found.wrong:
                extent.report("soak", None, f"round {len(rounds)}: {found.wrong}")
            rounds.append(found)
            write_json(record, [dataclasses.asdict(each) for each in rounds])
    record.unlink()
    return summary(rounds)


def summary(rounds: Sequence[Round]) -> Study:
    """Return the table of what grew over the rounds."""
    failed = sum(bool(each.wrong) for each in rounds)
    settled = rounds[FIRST_ROUNDS:] or rounds
    part = max(1, len(settled) // 3)
    rows, cells = [wrong_row("rounds that failed", len(rounds), failed)], []
    for name, (metric, limit) in GROWTH.items():
        values = [float(getattr(each, name)) for each in settled]
        first, last = statistics.median(values[:part]), statistics.median(values[-part:])
        grown = last - first
        rows.append(
            Row(f"growth of {metric}", grown, goal=f"at most {limit}", reached=grown <= limit)
        )
        cells.append([metric, *(f"{value:.0f}" for value in (first, last, max(values)))])
    minutes = sum(each.seconds for each in rounds) / 60
    caption = f"{len(rounds)} rounds in {minutes:.0f} minutes; medians of a third of the rounds"
    return Study(rows, [Table(caption, ["", "first third", "last third", "largest"], cells)])
