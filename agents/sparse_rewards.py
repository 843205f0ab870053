"""Whether rewards are sparse: nearly all first training episodes have the same return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from stable_baselines3.common.callbacks import BaseCallback

FIRST_TIMESTEPS = 20_000
"""Timesteps whose episodes are judged, of a policy that has hardly learned."""
LEAST = 8
"""Least number of episodes that are judged."""
MOST_OTHERS = 0.1
"""Largest fraction of episodes with another return than the most frequent one."""


class SparseRewards(BaseCallback):
    """Calls a function once if the rewards of a new training turn out to be sparse.

    A return that is nearly always the same teaches nothing, whatever its value: 0 where only the
    goal is rewarded, or the limit of the episode times -1.
    """

    def __init__(self, respond: Callable[[str], None]) -> None:
        """Watch the first episodes.

        Args:
            respond: is called between two rollouts with a sentence that says what was found.
        """
        super().__init__()
        self.respond = respond
        self.returns: Counter[float] = Counter()
        """Number of episodes by return."""
        self._watching = True

    def _on_training_start(self) -> None:
        # A resumed agent may have learned to reach the same return each time.
        self._watching = self.num_timesteps < FIRST_TIMESTEPS

    def _on_step(self) -> bool:
        if self._watching:
            infos = self.locals["infos"]
            self.returns.update(float(info["episode"]["r"]) for info in infos if "episode" in info)
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.returns.total()
        if not self._watching or self.num_timesteps < FIRST_TIMESTEPS or episodes < LEAST:
            return
        self._watching = False
        value, equal = self.returns.most_common(1)[0]
        if episodes - equal <= MOST_OTHERS * episodes:
            self.respond(f"{equal} of the first {episodes} episodes have the return {value:.4g}")
