"""The flags of the study, its parallel runs and its page."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scripts.studies.core import STUDIES, Subject
from scripts.studies.parallel import each_in_a_process
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
        chosen = runs(self.task, self.bonus, self.seeds)
        missing = [(each,) for each in chosen if not each.result.exists()]
        finished = each_in_a_process(perform, missing, self.jobs)
        for number, ((run,), status) in enumerate(finished, 1):
            outcome = run.result if status == 0 else "FAILED"
            print(f"{number} of {len(missing)}: {run.name}: {outcome}", flush=True)

    def write_page(self) -> Path:
        """Write the page, its plot and the table of the README, and return the page."""
        return write_page()
