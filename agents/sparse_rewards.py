"""Whether rewards are sparse: nearly all training episodes have the return 0."""

from __future__ import annotations

from collections.abc import Callable

from stable_baselines3.common.callbacks import BaseCallback

TIMESTEPS = 20_000
"""Least number of timesteps before the verdict."""
LEAST = 8
"""Least number of episodes before the verdict."""
MOST_OTHERS = 0.1
"""Largest fraction of episodes with a return other than 0."""


class SparseRewards(BaseCallback):
    """Calls a function once if the first rewards of a training turn out to be sparse.

    A resumed training is judged anew, by its own episodes.
    """

    def __init__(self, respond: Callable[[str], None]) -> None:
        """Watch the first episodes.

        Args:
            respond: is called between two rollouts with words that say what was found.
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
            infos = self.locals["infos"]
            self.returns += [float(info["episode"]["r"]) for info in infos if "episode" in info]
        return True

    def _on_rollout_end(self) -> None:
        episodes, timesteps = len(self.returns), self.num_timesteps - self._start
        if not self._watching or timesteps < TIMESTEPS or episodes < LEAST:
            return
        self._watching = False
        zeros = self.returns.count(0.0)
        if episodes - zeros <= MOST_OTHERS * episodes:
            self.respond(f"{zeros} of {episodes} episodes have the return 0")
