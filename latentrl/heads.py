"""Heads: what the encoder's outputs mean, a point or a distribution over codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from latentrl.registry import Registry

LOG_VARIANCE_LIMIT = 12.0


@dataclass(frozen=True)
class Code:
    """The encoder's answer for a batch."""

    mean: Tensor
    """The deterministic code ``(B, latent_dim)``: what agents, metrics and plots see."""
    log_variance: Tensor | None = None
    """Log variance of each latent ``(B, latent_dim)``; None for a point."""

    def sample(self, noise: Tensor) -> Tensor:
        """Return the code moved by standard normal ``noise (B, latent_dim)``, reparameterised."""
        if self.log_variance is None:
            return self.mean
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || N(0, I)) of each dimension in nats, ``(B, latent_dim)``.

        Raises:
            TypeError: the code is a point.
        """
        if self.log_variance is None:
            raise TypeError("a point code has no KL divergence; use head 'gaussian'")
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


class Head(Protocol):
    """Reads a code from the encoder's outputs."""

    stochastic: bool
    """Whether the code is a distribution that can be sampled."""
    outputs_per_latent: int
    """How many values the encoder gives for each latent dimension."""

    def __call__(self, outputs: Tensor) -> Code:
        """Turn ``(B, outputs_per_latent * latent_dim)`` into a code."""


HEADS: Registry[Head] = Registry("head")


@HEADS.register("point")
class Point:
    """The outputs are the code."""

    stochastic = False
    outputs_per_latent = 1

    def __call__(self, outputs: Tensor) -> Code:
        """Return the outputs as they are."""
        return Code(outputs)


@HEADS.register("gaussian")
class Gaussian:
    """A normal posterior with diagonal covariance (Kingma & Welling 2014, arXiv:1312.6114)."""

    stochastic = True
    outputs_per_latent = 2

    def __call__(self, outputs: Tensor) -> Code:
        """Split the outputs into means and log variances."""
        mean, log_variance = outputs.float().chunk(2, dim=1)
        return Code(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))
