"""How much of a part runs, and the report of a wrong outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.studies.core import Row, Study

LONGEST = 400
"""Characters of a wrong outcome that are printed."""


@dataclass(frozen=True)
class Extent:
    """Number and seed of the cases of a part."""

    count: int
    """Cases, or seconds of the soak."""
    seed: int = 0
    """Seed of all cases."""
    case: int | None = None
    """The only case to run; None runs all."""

    def numbers(self) -> Sequence[int]:
        """Return the numbers of the cases to run."""
        return range(self.count) if self.case is None else [self.case]

    def report(self, part: str, number: int | None, text: str) -> None:
        """Print a wrong outcome, with the command that repeats it where the case has a number."""
        again = "" if number is None else f"\n    --part {part} --seed {self.seed} --case {number}"
        print(f"  wrong: {text[:LONGEST]}{again}", flush=True)


Measured = Callable[[Extent], Study]
"""A part of the study, which runs the cases of an extent."""


def wrong_row(metric: str, count: int, wrong: int) -> Row:
    """Return the row of the number of wrong outcomes among ``count``."""
    return Row(f"{metric}, of {count:,}", float(wrong), goal="0", reached=wrong == 0)
