"""The deterministic action of a Gaussian policy whose samples are clipped to the action space."""

from __future__ import annotations

import math
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.preprocessing import get_action_dim
from torch import Tensor

ROOT = math.sqrt(2 * math.pi)
"""Divisor of the standard normal density."""


class ClippedGaussian(DiagGaussianDistribution):
    """A Gaussian whose deterministic action is the mean of the actions that it takes.

    SB3 clips samples to the action space. Where the mean is outside of it, or near its edge, the
    clipped mean is not the mean of the clipped samples: a policy whose brake has the mean -0.1
    brakes now and then, and by its clipped mean never. Samples and their densities are SB3's.
    """

    def __init__(self, action_space: spaces.Box) -> None:
        """Make the distribution over ``action_space``; sides of it may be infinite."""
        super().__init__(get_action_dim(action_space))
        self.low, self.high = (
            torch.as_tensor(bound.ravel(), dtype=torch.float32)
            for bound in (action_space.low, action_space.high)
        )

    def mode(self) -> Tensor:
        """Return the mean of the clipped actions, ``(B, action_dim)``, as SB3 flattens them."""
        mean, deviation = self.distribution.mean, self.distribution.stddev
        low, high = self.low.to(mean.device), self.high.to(mean.device)
        below, above = (low - mean) / deviation, (high - mean) / deviation
        under, over = torch.special.ndtr(below), torch.special.ndtr(-above)
        density = (torch.exp(-below.square() / 2) - torch.exp(-above.square() / 2)) / ROOT
        # An infinite side has no samples beyond it, and infinity times 0 is no number.
        clipped = _finite(low) * under + _finite(high) * over
        action: Tensor = clipped + mean * (1 - under - over) + deviation * density
        return action


def _finite(bound: Tensor) -> Tensor:
    return torch.where(bound.isfinite(), bound, torch.zeros_like(bound))


def expect_clipped(model: BaseAlgorithm) -> None:
    """Give a policy with SB3's Gaussian, and no other one, the ``ClippedGaussian``."""
    policy: Any = model.policy
    space: Any = model.action_space
    # Not of a subclass: SAC squashes its actions into the action space.
    if type(getattr(policy, "action_dist", None)) is DiagGaussianDistribution:
        policy.action_dist = ClippedGaussian(space)
