"""Whether rewards are sparse: most of the first training episodes have one and the same return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

TIMESTEPS = 20_000
"""Least number of timesteps before the verdict."""
LEAST = 8
"""Least number of episodes before the verdict."""
MOST = 0.5
"""Fraction of episodes with the same return up to which rewards are not sparse."""


class End(NamedTuple):
    """The end of an episode."""

    total: float
    """Its return."""
    at_limit: bool
    """Whether it was truncated."""


class SparseRewards(BaseCallback):
    """Judges the rewards of a training once, by the first episodes of this process."""

    def __init__(self, respond: Callable[[bool, str], None]) -> None:
        """Watch the first episodes.

        Args:
            respond: is called between two rollouts with the verdict, which is True for sparse
                rewards, and words that say what was found.
        """
        super().__init__()
        self.respond = respond
        self.ends: list[End] = []
        """Ends of the episodes so far."""
        self._watching, self._start = True, 0

    def _on_training_start(self) -> None:
        self._start = self.num_timesteps

    def _on_step(self) -> bool:
        if self._watching:
            ended = (self.locals["infos"][i] for i in np.flatnonzero(self.locals["dones"]))
            self.ends += [
                End(float(info["episode"]["r"]), info.get("TimeLimit.truncated", False))
                for info in ended
            ]
        return True

    def _on_rollout_end(self) -> None:
        episodes, timesteps = len(self.ends), self.num_timesteps - self._start
        if not self._watching or timesteps < TIMESTEPS or episodes < LEAST:
            return
        self._watching = False
        equal, what = most_common(self.ends)
        self.respond(equal > MOST * episodes, f"{equal} of {episodes} episodes {what}")

    def _on_training_end(self) -> None:
        if self._watching:
            timesteps = self.num_timesteps - self._start
            tqdm.write(
                "the training ended with its novelty bonus: whether rewards are sparse shows after "
                f"{TIMESTEPS:,} timesteps and {LEAST} episodes, of which it had {timesteps:,} and "
                f"{len(self.ends)}"
            )


def most_common(ends: Sequence[End]) -> tuple[int, str]:
    """Return how many episodes have the most common return, and words that say which it is.

    That is 0, or any other return at the time limit: the constant reward of each timestep until a
    goal that is never reached. Where episodes end by themselves, as of a pole that falls, equal
    returns other than 0 say that something has happened.
    """
    zeros = sum(end.total == 0 for end in ends)
    limited = Counter(end.total for end in ends if end.at_limit)
    total, equal = max(limited.items(), key=lambda item: item[1], default=(0.0, 0))
    if equal > zeros:
        return equal, f"end at the time limit with the return {total:g}"
    return zeros, "have the return 0"
