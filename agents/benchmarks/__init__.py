"""Speed of this machine, and studies of how good the autoencoders are."""

from agents.benchmarks import coding, family, restoring, scoring
from agents.benchmarks.speed import BENCHMARKS
from agents.benchmarks.study import STUDIES

__all__ = ["BENCHMARKS", "STUDIES", "coding", "family", "restoring", "scoring"]
