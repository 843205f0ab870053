"""Novelty bonuses: intrinsic rewards for states that an agent has rarely visited."""

from latentrl.novelty.adaptive import Adaptive
from latentrl.novelty.base import BONUSES, Bonus, make_bonus
from latentrl.novelty.composite import Product, Sum
from latentrl.novelty.counters import LatentHash
from latentrl.novelty.counts import FirstVisits, HashCounts
from latentrl.novelty.elliptical import Elliptical
from latentrl.novelty.icm import ICM
from latentrl.novelty.normalize import NormalizedBonus
from latentrl.novelty.reconstruction import ReconstructionGain
from latentrl.novelty.rnd import RND
from latentrl.novelty.temporal_distance import TemporalDistance
from latentrl.novelty.token_counts import TokenCounts

__all__ = [
    "BONUSES",
    "ICM",
    "RND",
    "Adaptive",
    "Bonus",
    "Elliptical",
    "FirstVisits",
    "HashCounts",
    "LatentHash",
    "NormalizedBonus",
    "Product",
    "ReconstructionGain",
    "Sum",
    "TemporalDistance",
    "TokenCounts",
    "make_bonus",
]
