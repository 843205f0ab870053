"""Speed of this machine, and studies of autoencoders, latents, bonuses and reliability."""

from scripts.studies import (
    autoencoders,
    carracing,
    novelty,
    reliability,
    representation,
    sparse_rewards,
    suite,
    warm_start,
)
from scripts.studies.core import STUDIES

__all__ = [
    "STUDIES",
    "autoencoders",
    "carracing",
    "novelty",
    "reliability",
    "representation",
    "sparse_rewards",
    "suite",
    "warm_start",
]
