"""The flags of the study, its parallel runs and its page."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

from scripts.studies.core import STUDIES, Subject
from scripts.studies.sparse_rewards.perform import perform
from scripts.studies.sparse_rewards.report import write_page
from scripts.studies.sparse_rewards.tasks import runs


@STUDIES.register("sparse_rewards")
@dataclass(frozen=True)
class SparseRewards(Subject):
    """Agents with and without a novelty bonus on tasks with sparse rewards.

    Runs that were interrupted resume; finished runs are not repeated.
    """

    task: tuple[str, ...] = ()
    """Tasks; all of them by default."""
    bonus: tuple[str, ...] = ()
    """Bonuses, "none" among them; by default those of the task."""
    seeds: int | None = None
    """Agents with each bonus; by default the number of the task."""
    jobs: int = os.cpu_count() or 1
    """Parallel runs, one core each."""

    def run(self) -> None:
        """Run the agents without a result in parallel, and print the files of the results."""
        chosen = list(runs(self.task, self.bonus, self.seeds))
        # Workers read it at their import of torch: idle OpenMP threads would spin on other cores.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        context = get_context("spawn")
        cores = context.Queue()
        for worker in range(self.jobs):
            cores.put(worker % (os.cpu_count() or 1))
        with ProcessPoolExecutor(self.jobs, context, _take_core, (cores,)) as pool:
            results = [pool.submit(perform, each) for each in chosen]
            for number, result in enumerate(as_completed(results), 1):
                print(f"{number} of {len(results)}: {result.result()}", flush=True)

    def write_page(self) -> Path:
        """Write the page, its plot and the table of the README, and return the page."""
        return write_page()


def _take_core(cores: Queue[int]) -> None:
    """Pin this worker to a core of its own, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get()})
