"""Environments that misbehave, in every host and with every algorithm."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.studies.core import FOLDER, Study, Table
from scripts.studies.reliability.command_line import ROOT
from scripts.studies.reliability.extent import Extent, wrong_row
from scripts.studies.reliability.processes import single_thread

SOURCES = ("latentrl", "agents", "envs", "scripts/studies/reliability")
"""Folders of the code on which an outcome depends."""


@dataclass(frozen=True)
class Job:
    """What became of one job."""

    kind: str
    """Name of the kind of environment."""
    summary: str
    """What is strange about the environment."""
    host: str
    """Host of the environments."""
    right: bool
    """Whether the outcome is the one that is right for the kind."""


def catalogue() -> Any:
    """Return the module that has the kinds of environments and runs a job with one of them."""
    return importlib.import_module("scripts.studies.reliability.misbehaving")


def combinations() -> list[tuple[Any, str, str]]:
    """Return all kinds, with the hosts that they are for, and algorithms.

    Every kind meets every host and every algorithm, but not all pairs of both.
    """
    module = catalogue()
    algorithms = list(module.ALGORITHMS)
    return [
        (kind, host, algorithm)
        for number, kind in enumerate(module.KINDS.values())
        for turn, host in enumerate(kind.hosts, number)
        for algorithm in (
            algorithms if len(kind.hosts) == 1 else [algorithms[turn % len(algorithms)]]
        )
    ]


def study(extent: Extent) -> Study:
    """Environments that misbehave, in all hosts and with PPO and DQN.

    Each job collects frames, fits a model, wraps the environments and trains an agent for some
    timesteps, in a process of its own and under a time limit. Right is the outcome that the
    catalogue of `scripts/studies/reliability/strange` states for the kind: that all of it works, or
    an error with certain words before anything is learned; never a hang, a crash or a process that
    is left. Each kind runs in every host, with algorithms in turn. A repeated command resumes an
    interrupted run, as long as the code is the same.
    """
    progress = _progress_file()
    with single_thread():
        found = list(_jobs(extent, progress))
    progress.unlink(missing_ok=True)
    return summary(found)


def _jobs(extent: Extent, progress: Path) -> Iterator[Job]:
    every = combinations()
    order = np.random.default_rng(extent.seed).permutation(len(every))[: extent.count]
    done = _read(progress) if extent.case is None else {}
    for number in order.tolist() if extent.case is None else extent.numbers():
        if number in done:
            yield done[number]
            continue
        kind, host, algorithm = every[number]
        found = catalogue().outcome(kind, host, algorithm)
        if not found.right:
            extent.report(
                "environments", number, f"{kind.name}, {host}, {algorithm}: {found.message}"
            )
        job = Job(kind.name, kind.summary, host, found.right)
        if found.right and extent.case is None:
            with progress.open("a") as file:
                file.write(json.dumps([number, dataclasses.asdict(job)]) + "\n")
        yield job


def _progress_file() -> Path:
    """Return the file of right outcomes of an unfinished run of this code."""
    files = [file for folder in SOURCES for file in sorted((ROOT / folder).rglob("*.py"))]
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    folder = FOLDER / "reliability"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"environments-{code[:12]}.jsonl"


def _read(progress: Path) -> dict[int, Job]:
    done = {}
    for line in progress.read_text().splitlines() if progress.exists() else []:
        with contextlib.suppress(ValueError):  # the last line of a run that was killed
            number, job = json.loads(line)
            done[number] = Job(**job)
    return done


def summary(found: Sequence[Job]) -> Study:
    """Return the tables of wrong outcomes by host and by kind."""
    wrong = sum(not job.right for job in found)
    hosts = sorted({job.host for job in found})
    by_host = [[host, *_counts([job for job in found if job.host == host])] for host in hosts]
    kinds = {job.kind: job.summary for job in found}
    by_kind = [
        [kind, text, *_counts([job for job in found if job.kind == kind])]
        for kind, text in sorted(kinds.items())
    ]
    tables = [
        Table("Jobs by host", ["host", "jobs", "wrong"], by_host),
        Table("Jobs by kind", ["kind", "what is strange", "jobs", "wrong"], by_kind),
    ]
    return Study([wrong_row(f"jobs with {len(kinds)} kinds", len(found), wrong)], tables)


def _counts(jobs: Sequence[Job]) -> list[str]:
    return [str(len(jobs)), str(sum(not job.right for job in jobs))]
