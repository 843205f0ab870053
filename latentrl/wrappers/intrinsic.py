"""A novelty's bonus for the states that were reached, in one batch for all environments."""

from __future__ import annotations

import numpy as np

from latentrl.novelty.base import check_novelty, checked, hook
from latentrl.types import Array, Novelty
from latentrl.wrappers.encode import LatentTransform


class IntrinsicRewards:
    """Shows a novelty each state once: the one that a step reached, never the first of the next
    episode.
    """

    def __init__(self, novelty: Novelty, num_envs: int) -> None:
        """Pay ``novelty`` to ``num_envs`` environments.

        Raises:
            TypeError: it lacks ``score`` or ``update``.
        """
        check_novelty(novelty)
        self.novelty, self.num_envs = novelty, num_envs
        self.bonus = np.zeros(num_envs, np.float32)
        """What the newest step paid, ``(num_envs,)``."""

    def act(self, actions: Array) -> None:
        """Tell the novelty of the actions ``(num_envs, ...)`` of the step to come."""
        hook(self.novelty, "act", np.asarray(actions))

    def begin(self, transform: LatentTransform, rows: Array) -> None:
        """Tell the novelty that episodes begin at the newest observations, where ``rows
        (num_envs,)`` is True.
        """
        if rows.any():
            hook(self.novelty, "begin", transform.last_frames, transform.last_codes, rows)

    def pay(self, transform: LatentTransform, ended: Array, stepped: Array) -> Array:
        """Score and learn from the newest batch.

        Args:
            transform: which has just encoded it.
            ended: numbers of the environments that have a final observation in the batch.
            stepped: bool ``(num_envs,)``: False where the step was a reset, which earns nothing.

        Returns:
            float32 ``(num_envs,)``.
        """
        frames, codes = transform.reached(ended)
        if not stepped.all():
            return self._pay_some(frames, codes, stepped)
        self.bonus = self._score(frames, codes)
        return self.bonus

    def _score(self, frames: Array, codes: Array) -> Array:
        bonus = checked(self.novelty, self.novelty.score(frames, codes), len(codes))
        self.novelty.update(frames, codes)
        return bonus

    def _pay_some(self, frames: Array, codes: Array, stepped: Array) -> Array:
        self.bonus = np.zeros(self.num_envs, np.float32)
        if stepped.any():
            hook(self.novelty, "select", np.flatnonzero(stepped))
            self.bonus[stepped] = self._score(frames[stepped], codes[stepped])
            hook(self.novelty, "select", np.arange(self.num_envs))
        return self.bonus
