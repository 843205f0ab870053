"""SB3's PPO with advantages in units of their standard deviation over many rollouts."""

from __future__ import annotations

import numpy as np
from stable_baselines3 import PPO

MEMORY = 0.95
"""Weight of the past in the variance of the advantages, per rollout: about 20 rollouts count."""
SMALLEST = 1e-8
"""Least standard deviation, as in SB3."""


class ScaledPPO(PPO):
    """PPO whose advantages keep their size relative to those of the rollouts before.

    SB3 scales the advantages of each batch by themselves. Where one rollout in twenty reaches a
    goal, the novelty bonus of the other nineteen then moves the policy as much as the goal does,
    and the policy can lose the goal for the bonus. Here the standard deviation is a moving average
    over rollouts, as DreamerV3 scales returns (Hafner et al. 2023, arXiv:2301.04104).
    ``normalize_advantage=False`` scales nothing, as in SB3.
    """

    advantage_variance = 0.0
    """Weighted sum of the variances of the rollouts so far."""
    advantage_weight = 0.0
    """Sum of the weights."""

    def train(self) -> None:
        """Update the policy with the rollout, as SB3 does with scaled advantages."""
        if not self.normalize_advantage:
            super().train()
            return
        self._scale_advantages()
        self.normalize_advantage = False  # of each batch
        try:
            super().train()
        finally:
            self.normalize_advantage = True

    def _scale_advantages(self) -> None:
        advantages = self.rollout_buffer.advantages
        variance = float(advantages.var(dtype=np.float64))
        self.advantage_variance = MEMORY * self.advantage_variance + (1 - MEMORY) * variance
        self.advantage_weight = MEMORY * self.advantage_weight + 1 - MEMORY
        std = np.sqrt(self.advantage_variance / self.advantage_weight) + SMALLEST
        centred = (advantages - advantages.mean()) / std
        self.rollout_buffer.advantages = centred.astype(np.float32)
        self.logger.record("train/advantage_std", std)
