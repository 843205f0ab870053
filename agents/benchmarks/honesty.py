"""Five tests of a bonus: whether it pays for what is new, and for nothing else."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from gymnasium import spaces

from agents.benchmarks.honesty_data import (
    BATCH,
    DOOR_KEY,
    NOISE,
    NOISY_TV,
    QUIET,
    Rooms,
    Steps,
    encoder,
    rooms,
    trained_score,
    watch,
)
from agents.benchmarks.study import STUDIES, Study, Table
from agents.novelty import RECIPES
from envs.key_rooms import ACTIONS
from latentrl import auroc
from latentrl.autoencoder import Autoencoder
from latentrl.novelty import Bonus
from latentrl.types import Array

NOVELTY_STUDIES = ("novelty", "novelty_noise")
"""Studies of the bonuses; all others are of the autoencoders."""
COST_BATCHES = 64
"""Batches in one measurement of the cost, so that a bonus that learns now and then has its share."""

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Goal:
    """What a figure is, and what it is to be."""

    what: str
    limit: float
    least: bool = False

    def __str__(self) -> str:
        """Return the head of the row."""
        return f"{self.what}: at {'least' if self.least else 'most'} {self.limit:g}"

    def cell(self, figure: float) -> str:
        """Return the figure and the verdict."""
        passed = figure >= self.limit if self.least else figure <= self.limit
        return f"{figure:.3f} {'pass' if passed else 'FAIL'}"


GOALS = {
    "decay": Goal("decay over 1,000 visits", 2.0),
    "size": Goal("rank correlation with the size of the PNG", 0.2),
    "television": Goal("share of the bonus that a noisy television takes", 0.05),
    "rooms": Goal("AUROC of rooms never seen", 0.95, least=True),
}
LOST = Goal("return lost to noise", 0.05)


@dataclass(frozen=True)
class Extent:
    """How much of everything."""

    seeds: int = 3
    rounds: int = 20
    """Visits of each state that a bonus is taught."""
    visits: int = 1_000
    """Visits over which it is to decay."""
    frames: int = 20_000
    """To pretrain on."""
    steps: int | None = None
    """Of pretraining; None is the environment's default."""
    television: int = 50_000
    """Frames before the television."""
