"""Whether rewards are sparse: most of the first training episodes have the return 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

TIMESTEPS = 20_000
"""Least number of timesteps before the verdict."""
LEAST = 8
"""Least number of episodes before the verdict."""
MOST_ZEROS = 0.5
"""Fraction of episodes with the return 0 up to which rewards are not sparse."""


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
        self.returns: list[float] = []
        """Returns of the episodes so far."""
        self._watching, self._start = True, 0

    def _on_training_start(self) -> None:
        self._start = self.num_timesteps

    def _on_step(self) -> bool:
        if self._watching:
            infos, ended = self.locals["infos"], np.flatnonzero(self.locals["dones"])
            self.returns += [float(infos[i]["episode"]["r"]) for i in ended]
        return True

    def _on_rollout_end(self) -> None:
        episodes, timesteps = len(self.returns), self.num_timesteps - self._start
        if not self._watching or timesteps < TIMESTEPS or episodes < LEAST:
            return
        self._watching = False
        zeros = self.returns.count(0.0)
        found = f"{zeros} of {episodes} episodes have the return 0"
        self.respond(zeros > MOST_ZEROS * episodes, found)

    def _on_training_end(self) -> None:
        if self._watching:
            timesteps = self.num_timesteps - self._start
            tqdm.write(
                "the training ended with its novelty bonus: whether rewards are sparse shows after "
                f"{TIMESTEPS:,} timesteps and {LEAST} episodes, of which it had {timesteps:,} and "
                f"{len(self.returns)}"
            )
