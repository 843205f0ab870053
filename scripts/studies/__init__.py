"""Speed of this machine, and studies of models, latents, bonuses, agents and reliability."""

from scripts.studies import (
    autoencoders,
    carracing,
    encoders,
    novelty,
    reliability,
    representation,
    sparse_rewards,
    suite,
)
from scripts.studies.core import STUDIES

__all__ = [
    "STUDIES",
    "autoencoders",
    "carracing",
    "encoders",
    "novelty",
    "reliability",
    "representation",
    "sparse_rewards",
    "suite",
]
