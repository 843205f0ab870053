"""Heads: what the encoder's outputs mean, a point, bits, or a distribution over codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from latentrl.utils.registry import Registry

LOG_VARIANCE_LIMIT = 12.0

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda outputs: outputs,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True)
class Posterior:
    """The encoder's answer for a batch: points."""

    mean: Tensor
    """The deterministic code ``(B, latent_dim)``: what agents, metrics and plots see."""
    kind: ClassVar[str] = "any code"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the code that training decodes, given standard normal ``noise (B,
        latent_dim)``.
        """
        return self.mean

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || N(0, I)) of each dimension in nats, ``(B, latent_dim)``.

        Raises:
            TypeError: the code is not a distribution.
        """
        raise TypeError("only a Gaussian code has a KL divergence; use head 'gaussian'")


@dataclass(frozen=True)
class GaussianPosterior(Posterior):
    """Independent normal distributions."""

    log_variance: Tensor
    """Log variance of each latent ``(B, latent_dim)``."""
    kind: ClassVar[str] = "a Gaussian code (head 'gaussian')"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the mean moved by ``noise``, reparameterised."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || N(0, I)) of each dimension in nats, ``(B, latent_dim)``."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


@dataclass(frozen=True)
class BinaryPosterior(Posterior):
    """Bits, 0.0 or 1.0; ``mean`` carries the gradient of the probabilities straight through."""

    logits: Tensor
    """Log odds of each bit ``(B, latent_dim)``."""
    noise: float
    """Standard deviation of the noise on the logits in training; 0 decodes the bits themselves."""
    kind: ClassVar[str] = "a binary code (head 'binary')"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the bits, or the probabilities of noisy logits, which only saturated ones
        survive.
        """
        return (self.logits + self.noise * noise).sigmoid() if self.noise else self.mean


class Head(Protocol):
    """Reads a code from the encoder's outputs."""

    outputs_per_latent: int
    """How many values the encoder gives for each latent dimension."""

    @property
    def posterior(self) -> type[Posterior]:
        """What kind of code it gives."""

    @property
    def unit_columns(self) -> bool:
        """Whether the columns of the decoder's first layer are held at unit length."""

    def __call__(self, outputs: Tensor) -> Posterior:
        """Turn ``(B, outputs_per_latent * latent_dim)`` into a code."""


HEADS: Registry[Head] = Registry("head")


@HEADS.register("point")
@dataclass(frozen=True)
class Point:
    """The outputs, through an activation, are the code."""

    activation: str = "identity"
    """identity, relu or sigmoid."""
    unit_columns: bool = False
    """Hold the decoder's columns at unit length, so that a penalty cannot be evaded by a smaller
    code."""
    posterior = Posterior
    outputs_per_latent = 1

    def __post_init__(self) -> None:
        """Refuse an unknown activation."""
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; known: {', '.join(ACTIVATIONS)}"
            )

    def __call__(self, outputs: Tensor) -> Posterior:
        """Return the activated outputs."""
        return Posterior(ACTIVATIONS[self.activation](outputs))


@HEADS.register("gaussian")
class Gaussian:
    """A normal posterior with diagonal covariance (Kingma & Welling 2014, arXiv:1312.6114)."""

    posterior = GaussianPosterior
    outputs_per_latent = 2
    unit_columns = False

    def __call__(self, outputs: Tensor) -> GaussianPosterior:
        """Split the outputs into means and log variances."""
        mean, log_variance = outputs.float().chunk(2, dim=1)
        return GaussianPosterior(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))


@HEADS.register("binary")
@dataclass(frozen=True)
class Binary:
    """Bits: semantic hashing (Salakhutdinov & Hinton 2009, Int. J. Approximate Reasoning 50).

    With ``noise`` 0 the decoder sees the bits and the gradient passes straight through the
    threshold (Bengio et al. 2013, arXiv:1308.3432); else it sees the probabilities of noisy logits.
    """

    noise: float = 0.0
    """Standard deviation of the noise on the logits in training."""
    posterior = BinaryPosterior
    outputs_per_latent = 1
    unit_columns = False

    def __post_init__(self) -> None:
        """Refuse a negative noise."""
        if self.noise < 0:
            raise ValueError(
                f"noise is a standard deviation and cannot be negative, got {self.noise}"
            )

    def __call__(self, outputs: Tensor) -> BinaryPosterior:
        """Threshold the logits at 0."""
        logits = outputs.float()
        probability = logits.sigmoid()
        bits = (logits > 0).to(logits.dtype)
        return BinaryPosterior(bits + (probability - probability.detach()), logits, self.noise)
