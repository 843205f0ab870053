"""Novelty: bonuses for states that an agent has not seen, made from frames and codes."""

from latentrl.novelty.base import NOVELTIES, Bonus
from latentrl.novelty.composite import Product, Sum
from latentrl.novelty.counts import FirstVisits, HashCounts
from latentrl.novelty.elliptical import Elliptical
from latentrl.novelty.normalize import NormalizedBonus
from latentrl.novelty.reconstruction import Learning, ReconstructionNovelty
from latentrl.novelty.rnd import ICM, RND
from latentrl.novelty.token_counts import TokenCounts

__all__ = [
    "ICM",
    "NOVELTIES",
    "RND",
    "Bonus",
    "Elliptical",
    "FirstVisits",
    "HashCounts",
    "Learning",
    "NormalizedBonus",
    "Product",
    "ReconstructionNovelty",
    "Sum",
    "TokenCounts",
]
