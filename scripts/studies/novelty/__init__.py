"""Bonus diagnostics: tests that a novelty bonus rewards what is new, and nothing else."""

from dataclasses import dataclass

from scripts.studies.core import STUDIES
from scripts.studies.experiments import Experiments
from scripts.studies.novelty.bonus_diagnostics import novelty
from scripts.studies.novelty.noise import novelty_noise


@STUDIES.register("bonus_diagnostics")
@dataclass(frozen=True)
class BonusDiagnostics(Experiments):
    """Bonus diagnostics.

    Five tests of every bonus of `train_agent.py --novelty`: decay with the number of visits,
    independence of the size of the frame, robustness against a noisy TV, generalisation to rooms
    that the agent never reached, and robustness of training against noise in the frames.
    """

    name = "bonus_diagnostics"
    parts = {"rooms": novelty, "noise": novelty_noise}
