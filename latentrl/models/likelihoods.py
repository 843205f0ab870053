"""Likelihoods p(x|z): the distribution that the decoder's outputs parameterise."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.utils.registry import Registry

LOG_2PI = math.log(2 * math.pi)


class Likelihood(Protocol):
    """Maps the decoder's outputs to a distribution over scaled observations."""

    images_only: bool
    """Whether targets must lie in [0, 1]."""
    outputs_per_value: int
    """Decoder outputs per value: ``C`` channels become ``outputs_per_value * C``."""

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return log p of each value of ``x (B, *shape)`` in nats, ``(B, *shape)``."""

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the mean, in the units of ``x``, ``(B, *shape)``."""

    def std(self, outputs: Tensor) -> Tensor:
        """Return the standard deviation, in the units of ``x``, ``(B, *shape)``."""

    def outputs_for(self, mean: Tensor) -> Tensor:
        """Return outputs whose mean is ``mean``, ``(B, *shape)`` in the units of ``x``."""


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")
"""Likelihoods by name."""


@LIKELIHOODS.register("bernoulli")
class Bernoulli:
    """Independent Bernoulli values; outputs are logits. For targets in [0, 1]."""

    images_only = True
    outputs_per_value = 1

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return minus the binary cross-entropy in nats; ``x`` is clipped to [0, 1]."""
        # Images that are scaled by the data leave [0, 1] where others use a wider range.
        return -F.binary_cross_entropy_with_logits(outputs, x.clamp(0, 1), reduction="none")

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the probabilities."""
        return outputs.sigmoid()

    def std(self, outputs: Tensor) -> Tensor:
        """Return sqrt(p (1 - p))."""
        mean = outputs.sigmoid()
        return (mean * (1 - mean)).sqrt()

    def outputs_for(self, mean: Tensor) -> Tensor:
        """Return the logits of ``mean``, which is clipped to [0.01, 0.99]."""
        return mean.logit(eps=0.01)


@LIKELIHOODS.register("gaussian")
class GaussianLikelihood(nn.Module):
    """A normal distribution with one standard deviation for all values, fixed or learned."""

    images_only = False
    outputs_per_value = 1

    def __init__(self, sigma: float = 0.1, learned: bool = False) -> None:
        """Set the standard deviation.

        Args:
            sigma: standard deviation in units of the scaled observation, or its initial value.
            learned: whether training changes it.

        Raises:
            ValueError: ``sigma`` is not positive.
        """
        super().__init__()
        _check_sigma(sigma)
        # The logarithm keeps sigma positive under any gradient step.
        log_sigma = torch.tensor(math.log(sigma))
        self.log_sigma = nn.Parameter(log_sigma, requires_grad=learned)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log density of each value in nats."""
        squares = (outputs - x).square()
        return -0.5 * squares * (-2 * self.log_sigma).exp() - (self.log_sigma + 0.5 * LOG_2PI)

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs unchanged."""
        return outputs

    def std(self, outputs: Tensor) -> Tensor:
        """Return sigma for every value."""
        return self.log_sigma.exp().expand_as(outputs)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """Return ``mean`` unchanged."""
        return mean


@LIKELIHOODS.register("diagonal_gaussian")
class DiagonalGaussian:
    """A normal distribution with a decoded mean and standard deviation for every value.

    The standard deviation has a floor, without which a value that is constant in the data would
    have an unbounded density (Kingma & Welling 2014, appendix C.2, arXiv:1312.6114).
    """

    images_only = False
    outputs_per_value = 2

    def __init__(self, sigma: float = 0.1, floor: float = 0.01) -> None:
        """Set the range of standard deviations, in units of the scaled observation.

        Args:
            sigma: standard deviation at outputs of 0, where training starts.
            floor: lower bound of the standard deviation.

        Raises:
            ValueError: one of them is not positive, or ``sigma`` is not above ``floor``.
        """
        _check_sigma(sigma)
        if not 0 < floor < sigma:
            raise ValueError(
                f"sigma must exceed floor, and floor must be positive; got sigma={sigma}, "
                f"floor={floor}"
            )
        self.floor = floor
        # softplus(shift) = sigma - floor, as softplus inverts to log(exp(y) - 1).
        self.shift = math.log(math.expm1(sigma - floor))

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the log density of each value in nats."""
        mean, std = self.mean(outputs), self.std(outputs)
        return -0.5 * ((mean - x) / std).square() - std.log() - 0.5 * LOG_2PI

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the first half of the outputs' channels."""
        return outputs.chunk(2, dim=channel_axis(outputs.ndim))[0]

    def std(self, outputs: Tensor) -> Tensor:
        """Return the floor plus the softplus of the second half."""
        free = outputs.chunk(2, dim=channel_axis(outputs.ndim))[1]
        return self.floor + F.softplus(free + self.shift)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """Return ``mean``, and zeros, which stand for the initial standard deviation."""
        return torch.cat([mean, torch.zeros_like(mean)], channel_axis(mean.ndim))


def channel_axis(ndim: int) -> int:
    """Return the axis of the channels in ``(B, C, H, W)``, ``(B, T, D)`` or ``(B, D)``."""
    return 2 if ndim == 3 else 1


def _check_sigma(sigma: float) -> None:
    if not sigma > 0:
        raise ValueError(f"sigma is a standard deviation and must be positive, got {sigma}")
