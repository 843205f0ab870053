"""Reliability: what becomes of files, processes and environments that fail."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from scripts.studies.core import STUDIES, Part, Result
from scripts.studies.experiments import Experiments
from scripts.studies.reliability import environments, files, kills, soak, writers
from scripts.studies.reliability.extent import Extent, Measured
from scripts.studies.reliability.record import record_of
from scripts.studies.report import print_study

COUNTS = {"files": 5_000, "kills": 200, "writers": 100, "environments": 10_000, "soak": 1_200}
"""Cases of each part, at most; seconds of the soak."""


@STUDIES.register("reliability")
@dataclass(frozen=True)
class Reliability(Experiments):
    """Reliability: files, processes and environments that fail.

    No outcome of any part may be wrong: nothing may be lost, end in a crash or be silently other
    than it should be. `--count` shortens a part, and `--case` repeats the one case that a wrong
    outcome was printed with. A part that was interrupted continues; `--fresh` starts it again.
    """

    name = "reliability"
    parts: ClassVar[Mapping[str, Measured]] = {  # type: ignore[assignment]
        "files": files.study,
        "kills": kills.study,
        "writers": writers.study,
        "environments": environments.study,
        "soak": soak.study,
    }

    count: int | None = None
    """Cases of each part that runs, seconds of the soak; that of the published page by default."""
    seed: int = 0
    """Seed of all cases."""
    case: int | None = None
    """The one case to run, by the number that a wrong outcome was printed with."""

    def run(self) -> None:
        """Run the parts without a result and print all results; a single case leaves none."""
        if self.case is None:
            super().run()
            return
        for name in self.chosen():
            print_study(self.parts[name], self.bound(name)())

    def bound(self, name: str) -> Part:
        """Return the part with the extent that the flags give."""
        count = COUNTS[name] if self.count is None else self.count
        if self.fresh and self.case is None:
            record_of(name, self.seed).unlink(missing_ok=True)
            # An interrupted run leaves no old result that the next one would take for its own.
            Result(self.name, name).file.unlink(missing_ok=True)
        return functools.partial(self.parts[name], Extent(count, self.seed, self.case))
