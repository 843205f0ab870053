"""Speed of this machine, and studies of how good the autoencoders and the novelty bonuses are."""

from agents.benchmarks import coding, family, honesty, restoring, scoring
from agents.benchmarks.honesty import NOVELTY_STUDIES
from agents.benchmarks.speed import BENCHMARKS
from agents.benchmarks.study import STUDIES

__all__ = ["BENCHMARKS", "NOVELTY_STUDIES", "STUDIES", "coding", "family", "honesty", "restoring", "scoring"]
