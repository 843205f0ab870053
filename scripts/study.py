"""Train agents with a bonus and without on tasks with sparse rewards, and write what they
reached.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli import run
from scripts.studies.sparse_rewards.report import write_section
from scripts.studies.sparse_rewards.sparse_rewards import perform, runs


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
    page: bool = False
    """Run nothing: write table and curves of what there is into docs/novelty.md."""


def main(config: SparseConfig) -> None:
    """Train agents with a bonus and without on tasks with sparse rewards; what is done already is
    not done again.
    """
    if config.page:
        print(write_section())
        return
    context = get_context("spawn")
    cores = context.Queue()
    for job in range(config.jobs):
        cores.put(job % (os.cpu_count() or 1))
    with ProcessPoolExecutor(config.jobs, context, take_core, (cores,)) as pool:
        jobs = [pool.submit(perform, each) for each in runs(config.task, config.arm, config.seeds)]
        for number, job in enumerate(as_completed(jobs), 1):
            print(f"{number} of {len(jobs)}: {job.result()}", flush=True)


def take_core(cores: Queue[int]) -> None:
    """Keep this worker on a core of its own, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get()})


if __name__ == "__main__":
    run(SparseConfig, main)
