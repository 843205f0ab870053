"""Environments that misbehave, in every host and with every algorithm."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.studies.core import Study, Table
from scripts.studies.reliability.extent import Extent, wrong_row
from scripts.studies.reliability.processes import single_thread


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
    """Return all kinds, with the hosts that they are for and all algorithms."""
    module = catalogue()
    return [
        (kind, host, algorithm)
        for kind in module.KINDS.values()
        for host in kind.hosts
        for algorithm in module.ALGORITHMS
    ]


def study(extent: Extent) -> Study:
    """Environments that misbehave, in all hosts and with PPO and DQN.

    Each job collects frames, fits a model, wraps the environments and trains an agent for some
    timesteps, in a process of its own and under a time limit. Right is the outcome that the
    catalogue of `scripts/studies/reliability/strange` states for the kind: that all of it works, or
    an error with certain words before anything is learned; never a hang, a crash or a process that
    is left.
    """
    with single_thread():
        return summary(list(_jobs(extent)))


def _jobs(extent: Extent) -> Iterator[Job]:
    every = combinations()
    order = np.random.default_rng(extent.seed).permutation(len(every))[: extent.count]
    for number in order.tolist() if extent.case is None else extent.numbers():
        kind, host, algorithm = every[number]
        found = catalogue().outcome(kind, host, algorithm)
        if not found.right:
            extent.report(
                "environments", number, f"{kind.name}, {host}, {algorithm}: {found.message}"
            )
        yield Job(kind.name, kind.summary, host, found.right)


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
