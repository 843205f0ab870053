"""Speed of this machine, and studies of how good the autoencoders and the novelty bonuses are."""

from scripts.studies.autoencoders import anomaly, elbo, hashing, restoration
from scripts.studies.core import STUDIES
from scripts.studies.novelty.bonus_diagnostics import NOVELTY_STUDIES
from scripts.studies.representation import probe
from scripts.studies.speed import BENCHMARKS

__all__ = [
    "BENCHMARKS",
    "NOVELTY_STUDIES",
    "OF_AGENTS",
    "STUDIES",
    "anomaly",
    "elbo",
    "hashing",
    "probe",
    "restoration",
]

OF_AGENTS = (*NOVELTY_STUDIES, "probe")
"""Studies that are not on the page of the autoencoders."""
