"""Whether rewards are sparse: the returns of most first training episodes say nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.bonuses import DEFAULT_NOVELTY

TIMESTEPS = 20_000
"""Least number of timesteps before the verdict."""
LEAST = 8
"""Least number of episodes before the verdict."""
SAME = 0.05
"""Largest difference from the usual cost per timestep, as a fraction of it."""
MOST = 0.5
"""Fraction of episodes that say nothing, up to which rewards are not sparse."""


class End(NamedTuple):
    """The end of an episode."""

    extrinsic_return: float
    timesteps: int
    truncated: bool


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
                End(
                    float(info["episode"]["r"]),
                    info["episode"]["l"],
                    info.get("TimeLimit.truncated", False),
                )
                for info in ended
            ]
        return True

    def _on_rollout_end(self) -> None:
        episodes, timesteps = len(self.ends), self.num_timesteps - self._start
        if not self._watching or timesteps < TIMESTEPS or episodes < LEAST:
            return
        self._watching = False
        equal, what = uninformative(self.ends)
        self.respond(equal > MOST * episodes, f"{equal} of {episodes} episodes {what}")

    def _on_training_end(self) -> None:
        if self._watching:
            timesteps = self.num_timesteps - self._start
            since = " since it was resumed" if self._start else ""
            tqdm.write(
                "the training ended with its novelty bonus: whether rewards are sparse shows after "
                f"{TIMESTEPS:,} timesteps and {LEAST} episodes, of which it had {timesteps:,} and "
                f"{len(self.ends)}{since}"
            )


def in_words(sparse: bool, imitates: bool) -> str:
    """Return what follows from a verdict for the bonus, and how a new run avoids it.

    Args:
        sparse: whether rewards are sparse.
        imitates: whether the agent begins to learn from its good episodes.
    """
    if not sparse:
        return f"is removed; a new run with --novelty {DEFAULT_NOVELTY} keeps it"
    without = "a new run with --novelty None has"
    if imitates:
        return f"stays, and the agent imitates its good episodes; {without} neither"
    return f"stays; {without} none"


def uninformative(ends: Sequence[End]) -> tuple[int, str]:
    """Return how many episodes say nothing of their actions, and words that say why.

    Their return is 0, or they reach their time limit at the usual cost per timestep: a cost of time
    or of actions until a goal that they do not reach. Some environments report a time limit as a
    termination, so that episodes as long as the longest one count as truncated.
    """
    zeros = sum(end.extrinsic_return == 0 for end in ends)
    longest = max((end.timesteps for end in ends), default=0)
    costs = [
        -end.extrinsic_return / end.timesteps
        for end in ends
        if end.extrinsic_return < 0 and (end.truncated or end.timesteps == longest)
    ]
    usual = float(np.median(costs)) if costs else 0.0
    equal = sum(abs(cost - usual) <= SAME * usual for cost in costs)
    if equal > max(zeros, MOST * len(ends)):
        return equal, f"are truncated, or as long as any, at a cost of {usual:.3g} per timestep"
    return zeros, "have the return 0"
