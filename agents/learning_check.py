"""Whether an agent learns: its newest training episodes against its first ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from latentrl.types import Array

FIRST = 20
"""Least number of first episodes, of a policy that has hardly learned."""
LEAST = 100
"""Least number of later episodes for a verdict."""
ENDLESS = 3_000
"""Timesteps of each environment after which the lack of an end is mentioned."""
ROUNDING, SMALL = 1e-12, 1e-3
"""Returns between these two are mostly lost beside what SB3 adds to the variance of the discounted
returns, 1e-8. Smaller ones may be sums that cancel."""
GUIDE = "docs/guide/training.md#an-agent-that-does-not-learn"


class LearningCheck(BaseCallback):
    """Warns after a training whose return has not risen."""

    def __init__(self) -> None:
        """Start without an episode."""
        super().__init__()
        self.returns: list[list[float]] = []
        """Returns of the first episodes of each environment."""
        self.episodes = 0
        """Episodes that have ended."""
        self._steps = 0
        self._largest, self._has_named = 0.0, False

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        self._steps += 1
        self.returns = self.returns or [[] for _ in infos]
        # As many of each environment: of all environments the short episodes end first.
        wanted = math.ceil(FIRST / len(infos))
        for i in np.flatnonzero(self.locals["dones"]):
            self.episodes += 1
            if len(self.returns[i]) < wanted:
                self.returns[i].append(float(infos[i]["episode"]["r"]))
                self._largest = max(self._largest, abs(self.returns[i][-1]))
        if not self._has_named and self.episodes >= FIRST and ROUNDING < self._largest < SMALL:
            self._has_named = True
            tqdm.write(
                f"the returns so far are at most {self._largest:.1g} in size, too small for the "
                "normalisation of rewards: multiply the rewards, for example with "
                "gymnasium.wrappers.TransformReward"
            )
        if self._steps == ENDLESS and not self.episodes:
            tqdm.write(
                f"no episode has ended in {ENDLESS:,} timesteps of each environment, so that there "
                "is no return yet; if episodes have no end, start again with --max-episode-steps"
            )
        return True

    def warn(self, validated: Sequence[float] = ()) -> None:
        """Warn if neither the newest training episodes nor a validation is better than the first.

        Args:
            validated: returns of the last validation, whose policy may explore less.
        """
        newest = np.array([episode["r"] for episode in self.model.ep_info_buffer or ()])
        first = np.array([number for returns in self.returns for number in returns])
        if not len(newest) or self.episodes < len(first) + LEAST:
            return
        for later in (newest, np.array(validated)):
            if len(later) and later.mean() - first.mean() > _error(later, first):
                return
        warnings.warn(
            f"the return has not risen: the last {len(newest)} training episodes have a mean of "
            f"{newest.mean():.4g}, the first {len(first)} had {first.mean():.4g}; {GUIDE} says "
            "what can be done",
            UserWarning,
            stacklevel=2,
        )


def _error(one: Array, other: Array) -> float:
    """Return the standard error of the difference of two means."""
    return float(np.sqrt(one.var() / len(one) + other.var() / len(other)))
