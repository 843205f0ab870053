"""Speed of this machine, and studies of how good the autoencoders and the novelty bonuses are."""

from agents.benchmarks import coding, family, honesty, probe, restoring, scoring
from agents.benchmarks.honesty import NOVELTY_STUDIES
from agents.benchmarks.speed import BENCHMARKS
from agents.benchmarks.study import STUDIES

__all__ = [
    "BENCHMARKS",
    "NOVELTY_STUDIES",
    "OF_AGENTS",
    "STUDIES",
    "coding",
    "family",
    "honesty",
    "probe",
    "restoring",
    "scoring",
]

OF_AGENTS = (*NOVELTY_STUDIES, "probe")
"""Studies that are not on the page of the autoencoders."""
