"""The flags of the study, its parallel runs and its page."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scripts.studies.carracing.arms import RECIPE, SEEDS, runs
from scripts.studies.carracing.decoded import draw_decoded
from scripts.studies.carracing.perform import is_missing, perform
from scripts.studies.carracing.probe import probe_encoders
from scripts.studies.carracing.report import write_page
from scripts.studies.core import STUDIES, Subject
from scripts.studies.parallel import each_in_a_process


@STUDIES.register("carracing")
@dataclass(frozen=True)
class CarRacing(Subject):
    """The recipe for CarRacing, and its controls.

    A recipe that was interrupted resumes, a control begins again; finished runs are not repeated.
    """

    arm: tuple[str, ...] = ()
    """Arms, such as "recipe" and "random encoder"; all of them by default."""
    seeds: int = SEEDS
    """Runs of each arm."""
    jobs: int = os.cpu_count() or 1
    """Parallel runs, one core each."""

    def run(self) -> None:
        """Perform what is missing of the runs, and print the files of the results."""
        missing = [(each,) for each in runs(self.arm, self.seeds) if is_missing(each)]
        finished = each_in_a_process(perform, missing, self.jobs)
        for number, ((run,), status) in enumerate(finished, 1):
            outcome = run.result if status == 0 else f"FAILED, see {run.folder / 'log.txt'}"
            print(f"{number} of {len(missing)}: {run.name}: {outcome}", flush=True)
        draw_decoded()
        if not probe_encoders():
            print(f"no probe of the encoders: the run {RECIPE}-0 has no agent here", flush=True)

    def write_page(self) -> Path:
        """Write the page and its plots from the results that exist, and return the page."""
        return write_page()
