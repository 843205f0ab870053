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
WIDEST = 1e6
"""Half of the widest range whose bounds are a scale; wider ones stand for none."""


class ClippedGaussian(DiagGaussianDistribution):
    """A Gaussian whose deterministic action is the mean of the actions that it takes.

    SB3 clips samples to the action space. Where the mean is outside of it, or near its edge, the
    clipped mean is not the mean of the clipped samples: a policy whose brake has the mean -0.1
    brakes now and then, and by its clipped mean never. Samples and their densities are SB3's.

    The network's mean and standard deviation are in units of half the range around its centre, so
    that a policy explores and learns alike in torques of 2 and in prices of 100.
    """

    def __init__(self, action_space: spaces.Box, scaled: bool = True) -> None:
        """Make the distribution over ``action_space``; sides of it may be infinite.

        Args:
            action_space: of the environment.
            scaled: whether the network's outputs are in units of the range.
        """
        super().__init__(get_action_dim(action_space))
        self.low, self.high = (
            torch.as_tensor(bound.ravel(), dtype=torch.float32)
            for bound in (action_space.low, action_space.high)
        )
        self.centre, self.unit = torch.zeros_like(self.low), torch.ones_like(self.low)
        if scaled:
            self.centre, self.unit = _centre_and_unit(self.low, self.high)

    def proba_distribution(self, mean_actions: Tensor, log_std: Tensor) -> ClippedGaussian:
        """Set the Gaussian from the outputs of the network, ``(B, dim)`` and ``(dim,)``."""
        centre, unit = (value.to(mean_actions.device) for value in (self.centre, self.unit))
        super().proba_distribution(centre + unit * mean_actions, log_std + unit.log())
        return self

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


def _centre_and_unit(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    # A range that contains 0 and whose largest magnitude is 1 keeps its units; so does one so wide
    # that its bounds mean none.
    usual = (torch.maximum(-low, high) == 1) & (low <= 0) & (high >= 0)
    half = high / 2 - low / 2
    other = ~usual & (half > 0) & (half <= WIDEST)
    return torch.where(other, low / 2 + high / 2, 0.0), torch.where(other, half, 1.0)


def _finite(bound: Tensor) -> Tensor:
    return torch.where(bound.isfinite(), bound, torch.zeros_like(bound))


def expect_clipped(model: BaseAlgorithm, scaled: bool) -> None:
    """Give a policy with SB3's Gaussian, and no other one, the ``ClippedGaussian``.

    Args:
        model: the algorithm.
        scaled: whether the network's outputs are in units of the action space.
    """
    policy: Any = model.policy
    space: Any = model.action_space
    # Not of a subclass: SAC squashes its actions into the action space.
    if type(getattr(policy, "action_dist", None)) is DiagGaussianDistribution:
        policy.action_dist = ClippedGaussian(space, scaled)


def remove_units(model: BaseAlgorithm) -> None:
    """Give a policy's last layer the units of the actions, as plain SB3 expects; it acts alike."""
    policy: Any = model.policy
    scaled = getattr(policy, "action_dist", None)
    if not isinstance(scaled, ClippedGaussian):
        return
    with torch.no_grad():
        unit = scaled.unit.to(policy.device)
        policy.action_net.weight *= unit[:, None]
        policy.action_net.bias.mul_(unit).add_(scaled.centre.to(policy.device))
        policy.log_std += unit.log()
    space: Any = model.action_space
    policy.action_dist = ClippedGaussian(space, scaled=False)
