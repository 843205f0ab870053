"""Train agents with a bonus and without on tasks with sparse rewards, and write what they reached."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.benchmarks.sparse import perform, runs
from scripts.cli import run


@dataclass(frozen=True)
class SparseConfig:
    """Train agents with a bonus and without on tasks with sparse rewards."""

    task: tuple[str, ...] = ()
    """Tasks to run; all where not given."""
    arm: tuple[str, ...] = ()
    """Bonuses to compare, none among them; the task's own where not given."""
    seeds: int | None = None
    """Agents of each kind; the task's own number where not given."""
    jobs: int = os.cpu_count() or 1
    """Runs at a time, one core each."""


def main(config: SparseConfig) -> None:
    """Train agents with a bonus and without on tasks with sparse rewards; what is done already is not done again."""
    with ProcessPoolExecutor(config.jobs, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(perform, each) for each in runs(config.task, config.arm, config.seeds)]
        for number, job in enumerate(as_completed(jobs), 1):
            print(f"{number} of {len(jobs)}: {job.result()}", flush=True)


if __name__ == "__main__":
    run(SparseConfig, main)
