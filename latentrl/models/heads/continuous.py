"""Heads whose latents are real numbers: points, and normal distributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentrl.models.heads.base import HEADS, Head, Posterior

LOG_VARIANCE_LIMIT = 12.0
"""Largest absolute log variance: exp(12) keeps the KL divergence finite in float32."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda outputs: outputs,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}
"""Activations of latents without a distribution, by name."""


@dataclass(frozen=True)
class GaussianPosterior(Posterior):
    """A normal distribution with diagonal covariance."""

    log_variance: Tensor
    """Log variance of each latent ``(B, latent_dim)``."""
    kind: ClassVar[str] = "a Gaussian posterior (head 'gaussian')"

    def sample(self, noise: Tensor) -> Tensor:
        """Return mean + standard deviation * ``noise``, the reparameterised sample."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || N(0, I)) of each dimension in nats, ``(B, latent_dim)``."""
        # Kingma & Welling 2014, appendix B.
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


@HEADS.register("point")
@dataclass(frozen=True)
class Point(Head):
    """A deterministic latent: the encoder's outputs through an activation."""

    activation: str = "identity"
    """identity, relu or sigmoid."""
    unit_columns: bool = False
    """Whether the decoder's columns have unit length, so that shrinking latents saves nothing."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the activation is unknown."""
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; known: {', '.join(ACTIVATIONS)}"
            )

    def __call__(self, outputs: Tensor) -> Posterior:
        """Return the activated outputs as latents."""
        return Posterior(ACTIVATIONS[self.activation](outputs))


@HEADS.register("gaussian")
class Gaussian(Head):
    """A normal posterior with diagonal covariance (Kingma & Welling 2014, arXiv:1312.6114)."""

    posterior = GaussianPosterior
    outputs_per_latent = 2

    def __call__(self, outputs: Tensor) -> GaussianPosterior:
        """Split the outputs into means and log variances."""
        # float32: under bfloat16 the terms of the KL divergence cancel to nothing near N(0, I).
        mean, log_variance = outputs.float().chunk(2, dim=1)
        return GaussianPosterior(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))
