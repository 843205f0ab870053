"""Whether an agent learns: its newest training episodes against its first ones."""

from __future__ import annotations

import warnings

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from latentrl.types import Array

FIRST = 20
"""Episodes at the beginning of the training, of a policy that has hardly learned."""
LEAST = 100
"""Least number of later episodes for a verdict."""
GUIDE = "docs/guide/training.md#an-agent-that-does-not-learn"


class LearningCheck(BaseCallback):
    """Warns after the training of an agent whose return has not risen."""

    def __init__(self) -> None:
        """Start without an episode."""
        super().__init__()
        self.first: list[float] = []
        self.episodes = 0

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.episodes += 1
                if len(self.first) < FIRST:
                    self.first.append(float(info["episode"]["r"]))
        return True

    def warn(self) -> None:
        """Warn if the newest episodes are not better than the first ones."""
        newest = np.array([episode["r"] for episode in self.model.ep_info_buffer or ()])
        if self.episodes < FIRST + LEAST or not len(newest):
            return
        first = np.array(self.first)
        if newest.mean() - first.mean() > _error(newest, first):
            return
        warnings.warn(
            f"the agent has not learned: its last {len(newest)} training episodes have a mean "
            f"return of {newest.mean():.4g}, its first {FIRST} had {first.mean():.4g}; {GUIDE} "
            "says what can be done",
            UserWarning,
            stacklevel=2,
        )


def _error(one: Array, other: Array) -> float:
    """Return the standard error of the difference of two means."""
    return float(np.sqrt(one.var() / len(one) + other.var() / len(other)))
