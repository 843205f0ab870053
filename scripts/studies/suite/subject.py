"""The flags of the suite, its parallel runs and its page."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latentrl.cli.plugins import IMPORTED
from scripts.studies.core import STUDIES, Subject
from scripts.studies.parallel import each_in_a_process
from scripts.studies.suite.perform import perform
from scripts.studies.suite.report import write_page
from scripts.studies.suite.tasks import Run, needs_latents, runs


@STUDIES.register("suite")
@dataclass(frozen=True)
class Suite(Subject):
    """Agents on latents, on pixels and on random latents, with one set of defaults.

    Every run has one core and the same minutes, pretraining included. Runs that have a result are
    not repeated; one that was interrupted begins again.
    """

    env: tuple[str, ...] = ()
    """Environments; all twelve by default."""
    arm: tuple[str, ...] = ()
    """Arms: latents, pixels, random_encoder, random_actions, and general, no_stack, refined
    and contrast, which change one default of latents; all of them by default."""
    seeds: int | None = None
    """Runs of each arm; by default 3 of latents and pixels, 2 of random encoders, of general and
    of contrast, 1 of others."""
    minutes: float = 8.0
    """Time of a core for each run, pretraining included and evaluation not."""
    jobs: int = os.cpu_count() or 1
    """Parallel runs, one core each."""

    def run(self) -> None:
        """Perform the runs without a result, and print the files of the results."""
        perform_missing(list(runs(self.env, self.arm, self.seeds)), self.minutes, self.jobs)

    def write_page(self) -> Path:
        """Write the page and its plots from the results that exist, and return the page."""
        return write_page()


def perform_missing(planned: Sequence[Run], minutes: float, jobs: int) -> None:
    """Perform the runs without a result, and print the files of the results.

    Raises:
        ValueError: there is no time.
    """
    if not minutes > 0:
        raise ValueError(f"minutes must be above 0, got {minutes}")
    missing = [run for run in planned if not run.result.exists()]
    # What takes a pretrained encoder, or its network, waits for all of them.
    stages = (
        [(run, minutes, tuple(IMPORTED)) for run in missing if needs_latents(run.arm) == waits]
        for waits in (False, True)
    )
    finished = itertools.chain.from_iterable(
        each_in_a_process(perform, stage, jobs) for stage in stages
    )
    for number, ((run, *_), status) in enumerate(finished, 1):
        outcome = run.result if status == 0 else f"FAILED, see {run.folder / 'log.txt'}"
        print(f"{number} of {len(missing)}: {run.name}: {outcome}", flush=True)
