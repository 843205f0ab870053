"""Damaged, edited and foreign files of every format: each is refused in words, or loads."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from scripts.studies.core import FOLDER, Study, Table
from scripts.studies.reliability import changes, crafted
from scripts.studies.reliability.changes import Change
from scripts.studies.reliability.extent import Extent, wrong_row
from scripts.studies.reliability.formats import FORMATS, Format
from scripts.studies.reliability.processes import (
    GIB,
    MIB,
    Answer,
    Worker,
    reset_peak,
    single_thread,
    status,
    warm,
)
from scripts.studies.reliability.record import recorded

SECONDS = 5.0
"""Limit of the time of the processor."""
HANG = 30.0
"""Seconds after which a process without an answer is killed."""
REFUSALS = (ValueError, FileNotFoundError, TypeError, gym.error.Error)
"""Errors that name a mistake; Gymnasium has one for an unknown environment."""
RIGHT = ("refused", "equal", "other values")
RESTART = 250
"""Files after which a worker is replaced, so that memory that it keeps does not add up."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    format: str
    """Name of the format."""
    change: str
    """File and change in words."""
    verdict: str
    """One of ``RIGHT``, or what went wrong."""
    message: str = ""
    """Message of the error."""
    seconds: float = 0.0
    """Time until it was refused or used."""
    mebibytes: float = 0.0
    """Growth of the resident memory at its peak."""
    number: int | None = None
    """Number of the case; None for the intact sample."""

    @property
    def right(self) -> bool:
        """Whether a reader of strangers' files may behave so."""
        return self.verdict in RIGHT


class Reader:
    """Changes samples and reads them, in the process of a worker."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Use the samples that ``write_sample`` wrote into ``folder``."""
        self.folder, self.seed = folder, seed

    def write_sample(self, name: str) -> str:
        """Write a sample and read it twice; return what failed, or nothing."""
        sample = self.folder / "samples" / name
        sample.mkdir(parents=True)
        try:
            FORMATS[name].write(sample)
            first, second = (self._digest_of_copy(name) for _ in range(2))
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
        (self.folder / f"{name}.digest").write_text(first)
        return "" if first == second else "two readings differ"

    def read_samples(self, names: Sequence[str]) -> list[str]:
        """Read the samples unchanged, and return their digests."""
        return [self._digest_of_copy(name) for name in names]

    def _digest_of_copy(self, name: str) -> str:
        return digest(FORMATS[name].read(self._copy(name)))

    def _copy(self, name: str) -> Path:
        os.chdir(self.folder)
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.folder / "samples" / name, work, symlinks=True)
        return work

    def read(self, name: str, number: int) -> Outcome:
        """Change a file of a sample as ``number`` says, and read the sample."""
        each, work = FORMATS[name], self._copy(name)
        rng = np.random.default_rng([self.seed, number])
        files = sorted(path for path in work.glob(each.targets) if path.is_file())
        file = files[int(rng.integers(len(files)))]
        change = self._change(file, each, rng)
        text = f"{file.relative_to(work)} {change.text}"
        (self.folder / "doing").write_text(text)
        reset_peak()
        # Time of the processor, because other programs may run beside the study.
        before, start = status("VmHWM"), time.process_time()
        verdict, message = self._verdict(each, work, change)
        seconds = time.process_time() - start
        peak = (status("VmHWM") - before) / 1024
        if verdict in RIGHT and (seconds > SECONDS or peak > GIB / MIB):
            verdict = f"{seconds:.0f} s" if seconds > SECONDS else f"{peak:.0f} MiB"
        return Outcome(name, text, verdict, message, seconds, peak, number)

    def _change(self, file: Path, each: Format, rng: np.random.Generator) -> Change:
        kind = rng.random()
        if kind < 0.5 and (edits := crafted.edits_of(file)):
            return edits[int(rng.integers(len(edits)))](file, rng)
        if kind < 0.6:
            change = changes.special(file, rng)
            # Among images other folders, and so one in place of an image, are as good as none.
            gone = each.optional and change.text.endswith(("deleted", "a folder"))
            return Change(change.text) if gone else change
        if kind < 0.65:
            return changes.link_outside(file, self.folder / "outside")
        if kind < 0.7:
            return changes.foreign(file, self.folder / "samples", rng)
        return changes.DAMAGE[int(rng.integers(len(changes.DAMAGE)))](file, rng)

    def _verdict(self, each: Format, work: Path, change: Change) -> tuple[str, str]:
        try:
            found = digest(each.read(work))
        except REFUSALS as error:
            return ("MemoryError inside" if _ran_out(error) else "refused"), str(error)
        except BaseException as error:
            return type(error).__name__, f"{error} {_place(error)}"
        if found == (self.folder / f"{each.name}.digest").read_text():
            return "equal", ""
        cut = change.cut and not each.open_ended
        damaged = each.checked and not change.edit
        return ("loads silently" if change.refused or cut or damaged else "other values"), ""


def _ran_out(error: BaseException | None) -> bool:
    """Whether an allocation failed first: without the limit it would have taken the memory."""
    while error is not None:
        if isinstance(error, MemoryError) or "can't allocate" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename]
    return f"[{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}]"


def digest(value: Any) -> str:
    """Return a hash of nested lists of arrays and numbers."""
    total = hashlib.sha256()
    for leaf in _leaves(value):
        total.update(leaf.tobytes() if isinstance(leaf, np.ndarray) else repr(leaf).encode())
    return total.hexdigest()


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def outcomes(extent: Extent, folder: Path, names: Sequence[str]) -> Iterator[Outcome]:
    """Read ``extent.count`` changed files of the formats ``names`` in turn."""
    shutil.rmtree(folder, ignore_errors=True)
    reader = Reader(folder, extent.seed)
    changes.make_sparse_file(folder / "samples" / "sparse")
    with contextlib.closing(Worker(reader.write_sample, 120)) as sampler:
        failures = {name: sampler(name) for name in names}
    for name, answer in failures.items():
        if failure := answer.ended or answer.value:
            refused = Outcome(name, "the intact sample", "the intact sample is refused", failure)
            yield _reported(extent, refused)
    readable = [name for name in names if failures[name] == Answer("")]
    warm(functools.partial(reader.read_samples, readable))
    with contextlib.closing(Worker(reader.read, HANG, GIB)) as worker:

        def run(number: int) -> Outcome:
            if number % RESTART == RESTART - 1:
                worker.close()
            name = readable[number % len(readable)]
            answer = worker(name, number)
            found = answer.value or _died(folder, name, number, answer.ended)
            return _reported(extent, found)

        yield from recorded("files", extent, Outcome, run)


def _died(folder: Path, name: str, number: int, ended: str) -> Outcome:
    return Outcome(name, (folder / "doing").read_text(), ended, number=number)


def study(extent: Extent) -> Study:
    """Damaged, edited and foreign files of every format that is read.

    Bits are flipped, parts overwritten, cut, repeated or appended, files replaced by noise, by
    those of other formats, by FIFOs, links and sparse files of 64 GiB; JSON fields are deleted,
    renamed, nested or set to other types and to huge or negative numbers, tensors are reshaped,
    removed or not finite, headers declare other sizes, with valid checksums. Right is a
    `ValueError`, `FileNotFoundError` or `TypeError`, Gymnasium's error for an unknown environment,
    or a result, within 5 s of the processor and 1 GiB; a format with checksums must refuse all
    damage. A crash of the interpreter is counted, because the files are read in processes of their
    own.
    """
    folder = FOLDER.resolve() / "reliability" / "files"
    with single_thread():
        return summary(list(outcomes(extent, folder, list(FORMATS))))


def _reported(extent: Extent, each: Outcome) -> Outcome:
    if not each.right:
        text = f"{each.format}: {each.change} -> {each.verdict} {each.message}"
        extent.report("files", each.number, text)
    return each


def summary(found: Sequence[Outcome]) -> Study:
    """Return the tables of outcomes by format and of what went wrong."""
    rows = [wrong_row("files that end in anything else", len(found), len(_wrong(found)))]
    return Study(rows, [_by_format(found), _by_error(found)])


def _wrong(found: Sequence[Outcome]) -> list[Outcome]:
    return [each for each in found if not each.right]


def _by_format(found: Sequence[Outcome]) -> Table:
    rows = []
    for name in FORMATS:
        ours = [each for each in found if each.format == name]
        counts = [sum(each.verdict == verdict for each in ours) for verdict in RIGHT]
        slowest = max((each.seconds for each in ours), default=0.0)
        largest = max((each.mebibytes for each in ours), default=0.0)
        cells = [len(ours), *counts, len(_wrong(ours))]
        rows.append([name, *map(str, cells), f"{slowest:.2f}", f"{largest:.0f}"])
    columns = ["format", "files", "refused", "equal", "other values", "wrong", "slowest s", "MiB"]
    return Table("Outcomes by format; the slowest, and the largest growth of memory", columns, rows)


def _by_error(found: Sequence[Outcome]) -> Table:
    kinds: dict[tuple[str, str], int] = {}
    for each in _wrong(found):
        kinds[each.verdict, each.format] = kinds.get((each.verdict, each.format), 0) + 1
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    rows = [[verdict, name, str(count)] for (verdict, name), count in ordered]
    return Table("Wrong outcomes", ["outcome", "format", "files"], rows or [["none", "", "0"]])
