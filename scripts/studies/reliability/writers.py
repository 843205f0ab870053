"""Two processes, or threads, that write to one place at the same time."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import latentrl as lrl
from agents.checkpoint import read_agent
from agents.train import FLAGS_FILE
from scripts.studies.core import FOLDER, Study, Table
from scripts.studies.reliability.command_line import call
from scripts.studies.reliability.extent import Extent, wrong_row
from scripts.studies.reliability.problems import (
    Counting,
    check_counting,
    save_reach_encoder,
    small_model,
    train_flags,
)
from scripts.studies.reliability.processes import FORK, ended_within, single_thread, start, warm
from scripts.studies.reliability.record import recorded

LIMIT = 60.0
"""Seconds in which both writers end."""
REFUSED = 2
"""Exit status of a refusal."""
TENTH = 10
"""One in so many pairs does not collect: the others take longer."""
TIMESTEPS = 64
SAVES = 10


@dataclass(frozen=True)
class Pair:
    """What became of two simultaneous writers."""

    kind: str
    """What both wrote."""
    refused: int
    """Writers that were refused."""
    wrong: str
    """What went wrong; empty where nothing did."""


Write = Callable[[], object]
Check = Callable[[int], str]


class Writers:
    """Starts pairs of writers at the same moment, each pair in an empty folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Use ``folder``; ``seed`` decides how much each writer writes."""
        self.folder, self.seed = folder, seed
        self.log = folder / "log"
        self.warmed: set[str] = set()

    def pair(self, number: int) -> Pair:
        """Run the pair of this number and look at what both left."""
        kind = kind_of(number)
        if kind not in self.warmed:
            self.warmed.add(kind)
            warm(self._writes(kind, number)[0])
        gate, writes = FORK.Barrier(2), self._writes(kind, number)
        processes = [start(_at_once, gate, write, log=self.log) for write in writes]
        ended = [ended_within(process, LIMIT) for process in processes]
        codes = [process.exitcode for process in processes]
        wrong = self._wrong(KINDS[kind][1], codes) if all(ended) else "a writer does not end"
        return Pair(kind, codes.count(REFUSED), wrong)

    def _writes(self, kind: str, number: int) -> list[Write]:
        """Return the writers of a pair, in an empty folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.chdir(self.folder)
        return list(KINDS[kind][0](np.random.default_rng([self.seed, number])))

    def _wrong(self, check: Check, codes: list[int]) -> str:
        if set(codes) - {0, REFUSED} or 0 not in codes:
            return f"exit statuses {codes}: {self._last()}"
        try:
            return check(codes.count(0)) or _left_behind(self.folder)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def _last(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def kind_of(number: int) -> str:
    """Return what the pair of this number writes: one in ten does not collect."""
    others = tuple(KINDS)[1:]
    return others[number // TENTH % len(others)] if number % TENTH == 0 else "collect"


def _at_once(gate: threading.Barrier, write: Write) -> None:
    gate.wait()
    try:
        write()
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(REFUSED)


def _left_behind(folder: Path) -> str:
    left = [path.name for path in folder.rglob("*.tmp*")]
    return f"left behind: {left[0]}" if left else ""


STORE = Path("store")


def _collections(rng: np.random.Generator) -> Iterator[Write]:
    for _ in range(2):
        frames = int(rng.integers(10, 300))
        yield functools.partial(lrl.collect, Counting, frames, STORE, n_envs=1, progress=False)


def _check_store(_: int) -> str:
    frames = lrl.Frames.open(STORE)
    check_counting(frames)
    size = int(np.prod(frames.space.shape))
    written = sum(file.stat().st_size // size for file in STORE.glob("*.observations.bin"))
    return f"{written} frames are on disk, {len(frames)} are read" if written > len(frames) else ""


def _trainings(out: str | None) -> Callable[[np.random.Generator], Iterator[Write]]:
    def writes(_: np.random.Generator) -> Iterator[Write]:
        save_reach_encoder()
        given = {} if out is None else {"out": out}
        for seed in range(2):
            flags = train_flags("ppo", timesteps=TIMESTEPS, seed=seed, **given)
            yield functools.partial(call, "train_agent", *flags)

    return writes


def _check_runs(succeeded: int) -> str:
    runs = sorted(file.parent for file in Path().rglob(FLAGS_FILE))
    for run in runs:
        read_agent(run / "last")
        read_agent(run / "best")
        lrl.load(run / "encoder", "cpu")
    return "" if len(runs) == succeeded else f"{succeeded} trainings wrote {len(runs)} folders"


def _saves(_: np.random.Generator) -> Iterator[Write]:
    for _ in range(2):
        yield _save_in_threads


def _save_in_threads() -> None:
    model, errors = small_model(), []

    def save() -> None:
        try:
            for _ in range(SAVES):
                lrl.save(model, "model")
                lrl.load("model", "cpu")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _check_model(succeeded: int) -> str:
    lrl.load("model", "cpu")
    return "" if succeeded == 2 else "a save was refused"


KINDS: dict[str, tuple[Callable[[np.random.Generator], Iterator[Write]], Check]] = {
    "collect": (_collections, _check_store),
    "train, numbered folders": (_trainings(None), _check_runs),
    "train, one --out": (_trainings("runs/mine"), _check_runs),
    "save and load, 2 threads each": (_saves, _check_model),
}
"""What a pair writes, and how it is checked, given the number of writers that succeeded."""


def study(extent: Extent) -> Study:
    """Pairs of processes that write to one place at the same moment.

    Nine in ten pairs collect frames into one store: all frames on disk must be in the manifest, and
    beside their records. The others train agents in one folder of runs, or with one `--out`, or
    save and load one encoder by two threads each. A writer may be refused in words, but not both;
    two trainings never share a folder, and no temporary file may be left.
    """
    before = Path.cwd()
    writers = Writers(FOLDER.resolve() / "reliability" / "writers", extent.seed)
    try:
        with single_thread():
            found = list(_reported(extent, writers))
    finally:
        os.chdir(before)
    return summary(found)


def _reported(extent: Extent, writers: Writers) -> Iterator[Pair]:
    def run(number: int) -> Pair:
        pair = writers.pair(number)
        if pair.wrong:
            extent.report("writers", number, f"{pair.kind}: {pair.wrong}")
        return pair

    return recorded("writers", extent, Pair, run)


def summary(found: Sequence[Pair]) -> Study:
    """Return the table of what was written."""
    rows = []
    for kind in KINDS:
        ours = [pair for pair in found if pair.kind == kind]
        wrong = sum(bool(pair.wrong) for pair in ours)
        rows.append([kind, *map(str, (len(ours), sum(pair.refused for pair in ours), wrong))])
    table = Table(
        "Pairs by what they write", ["written", "pairs", "writers refused", "wrong"], rows
    )
    wrong = sum(bool(pair.wrong) for pair in found)
    return Study([wrong_row("pairs that lost something", len(found), wrong)], [table])
