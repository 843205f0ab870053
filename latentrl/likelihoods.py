"""Likelihoods: the distribution over observations that the decoder's outputs stand for."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.registry import Registry

LOG_2PI = math.log(2 * math.pi)


class Likelihood(Protocol):
    """Reads a distribution from the decoder's outputs ``(B, *shape)``."""

    images_only: bool
    """Whether it needs targets in [0, 1]."""

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log p(x) in nats, summed over the values of each observation, ``(B,)``."""

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the mean, in the units of ``x``, ``(B, *shape)``."""


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")


@LIKELIHOODS.register("bernoulli")
class Bernoulli:
    """Independent Bernoulli values; outputs are logits. For targets in [0, 1]."""

    images_only = True

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return minus the binary cross-entropy in nats, ``(B,)``."""
        return -F.binary_cross_entropy_with_logits(outputs, x, reduction="none").flatten(1).sum(1)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the probabilities."""
        return outputs.sigmoid()


@LIKELIHOODS.register("gaussian")
class GaussianLikelihood(nn.Module):
    """A normal distribution with one standard deviation for all values, fixed or learned."""

    images_only = False

    def __init__(self, sigma: float = 0.1, learned: bool = False) -> None:
        """Start from ``sigma``, in units of the scaled observation.

        Raises:
            ValueError: ``sigma`` is not positive.
        """
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"sigma is a standard deviation and must be positive, got {sigma}")
        log_sigma = torch.tensor(math.log(sigma))
        self.log_sigma = nn.Parameter(log_sigma, requires_grad=learned)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log density in nats, ``(B,)``."""
        error = (outputs - x).flatten(1)
        scaled = 0.5 * error.square().sum(1) * (-2 * self.log_sigma).exp()
        return -scaled - error.shape[1] * (self.log_sigma + 0.5 * LOG_2PI)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs as they are."""
        return outputs
