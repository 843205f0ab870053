"""Heads: the posterior over latents that the encoder's outputs parameterise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from latentrl.utils.registry import Registry

LOG_VARIANCE_LIMIT = 12.0
"""Largest absolute log variance: exp(12) keeps the KL divergence finite in float32."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda outputs: outputs,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True)
class Posterior:
    """A deterministic latent for each observation of a batch."""

    mean: Tensor
    """The deterministic latent ``(B, latent_dim)``, which ``encode`` returns."""
    kind: ClassVar[str] = "any latent"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the latent that training decodes.

        Args:
            noise: standard normal ``(B, latent_dim)``; a deterministic latent ignores it.
        """
        return self.mean

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || N(0, I)) of each dimension in nats, ``(B, latent_dim)``.

        Raises:
            TypeError: the latent is not a distribution.
        """
        raise TypeError("only a Gaussian posterior has a KL divergence; use head 'gaussian'")


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


@dataclass(frozen=True)
class BinaryPosterior(Posterior):
    """Bits, 0.0 or 1.0; ``mean`` carries the gradient of their probabilities."""

    logits: Tensor
    """Log odds of each bit ``(B, latent_dim)``."""
    noise: float
    """Standard deviation of the noise on the logits in training; 0 decodes the bits themselves."""
    kind: ClassVar[str] = "a binary posterior (head 'binary')"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the bits, or the probabilities of noisy logits."""
        # A bit passes through the noise only where its logit is large, so that training drives the
        # logits to saturate (Salakhutdinov & Hinton 2009).
        return (self.logits + self.noise * noise).sigmoid() if self.noise else self.mean


class Head(Protocol):
    """Maps the encoder's outputs to a posterior."""

    outputs_per_latent: int
    """Encoder outputs per latent dimension."""

    @property
    def posterior(self) -> type[Posterior]:
        """Class of the posterior."""

    @property
    def unit_columns(self) -> bool:
        """Whether the columns of the decoder's first layer are held at unit length."""

    def __call__(self, outputs: Tensor) -> Posterior:
        """Return the posterior of outputs ``(B, outputs_per_latent * latent_dim)``."""


HEADS: Registry[Head] = Registry("head")


@HEADS.register("point")
@dataclass(frozen=True)
class Point:
    """A deterministic latent: the encoder's outputs through an activation."""

    activation: str = "identity"
    """identity, relu or sigmoid."""
    unit_columns: bool = False
    """Whether the decoder's columns have unit length, so that shrinking latents saves nothing."""
    posterior = Posterior
    outputs_per_latent = 1

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
class Gaussian:
    """A normal posterior with diagonal covariance (Kingma & Welling 2014, arXiv:1312.6114)."""

    posterior = GaussianPosterior
    outputs_per_latent = 2
    unit_columns = False

    def __call__(self, outputs: Tensor) -> GaussianPosterior:
        """Split the outputs into means and log variances."""
        # float32: under bfloat16 the terms of the KL divergence cancel to nothing near N(0, I).
        mean, log_variance = outputs.float().chunk(2, dim=1)
        return GaussianPosterior(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))


@HEADS.register("binary")
@dataclass(frozen=True)
class Binary:
    """Bits: semantic hashing (Salakhutdinov & Hinton 2009, Int. J. Approximate Reasoning 50).

    With ``noise`` 0 the bits are decoded and the gradient passes straight through the threshold
    (Bengio et al. 2013, arXiv:1308.3432); else the probabilities of noisy logits are decoded.
    """

    noise: float = 0.0
    """Standard deviation of the noise on the logits in training."""
    posterior = BinaryPosterior
    outputs_per_latent = 1
    unit_columns = False

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the noise is negative."""
        if self.noise < 0:
            raise ValueError(
                f"noise is a standard deviation and cannot be negative, got {self.noise}"
            )

    def __call__(self, outputs: Tensor) -> BinaryPosterior:
        """Threshold the logits at 0."""
        logits = outputs.float()
        probability = logits.sigmoid()
        bits = (logits > 0).to(logits.dtype)
        # The added difference is 0: the value is that of the bits, the gradient that of the
        # probabilities.
        return BinaryPosterior(bits + (probability - probability.detach()), logits, self.noise)
