"""Bonus diagnostics: tests that a novelty bonus rewards what is new, and nothing else."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from latentrl.novelty import BONUSES
from scripts.studies.core import STUDIES, Part, Result
from scripts.studies.experiments import Experiments
from scripts.studies.novelty.bonus_diagnostics import novelty, novelty_untuned
from scripts.studies.novelty.noise import measured_again, novelty_noise


@STUDIES.register("bonus_diagnostics")
@dataclass(frozen=True)
class BonusDiagnostics(Experiments):
    """Bonus diagnostics.

    Five tests of the bonuses of `train_agent.py --novelty`: decay with the number of visits,
    independence of the size of the frame, robustness against a noisy TV, generalisation to rooms
    that the agent never reached, and robustness of training against noise in the frames. `adaptive`
    becomes `token_counts` or `temporal_distance` by what it sees: where it has no column, see
    theirs.
    """

    name = "bonus_diagnostics"
    parts = {"rooms": novelty, "untuned": novelty_untuned, "noise": novelty_noise}

    bonus: tuple[str, ...] = ()
    """With --fresh, bonuses that the part noise trains with; others keep their results."""

    def run(self) -> None:
        """Check the names of bonuses, and run the parts.

        Raises:
            ValueError: a bonus is unknown, or is given without --fresh or for another part.
        """
        for bonus in self.bonus:
            BONUSES[bonus]  # not after minutes of collecting
        if self.bonus and not (self.fresh and "noise" in self.chosen()):
            raise ValueError("--bonus is for the part noise, to be run again: add --fresh")
        super().run()

    def bound(self, name: str) -> Part:
        """Return the function that runs a part, with the flags that it depends on."""
        result = Result(self.name, name)
        if name != "noise" or not self.bonus or not result.file.exists():
            return super().bound(name)
        return functools.partial(measured_again, result.read(), self.bonus)
