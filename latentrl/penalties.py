"""Penalties: named terms, in nats per observation, that are added to the reconstruction loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from latentrl.heads import Code
from latentrl.registry import Registry


@dataclass(frozen=True)
class Batch:
    """What a penalty may look at."""

    x: Tensor
    """Scaled clean observations ``(B, *shape)``."""
    code: Code
    """The encoder's answer for the (possibly corrupted) observations."""
    z: Tensor
    """The code that the decoder got, ``(B, latent_dim)``."""
    outputs: Tensor
    """The decoder's raw outputs, float32 ``(B, *shape)``."""
    step: int
    """Gradient steps done so far."""


class Penalty(Protocol):
    """One term of the loss."""

    name: str
    """The term's name in the breakdown of the loss."""
    needs_distribution: bool
    """Whether it needs a stochastic head."""

    def __call__(self, batch: Batch) -> Tensor:
        """Return the term, a scalar in nats: the mean over the batch."""


PENALTIES: Registry[Penalty] = Registry("penalty")


@PENALTIES.register("kl")
@dataclass(frozen=True)
class KL:
    """beta * KL(q(z|x) || N(0, I)) (Higgins et al. 2017, "beta-VAE", ICLR)."""

    beta: float = 1.0
    name = "kl"
    needs_distribution = True

    def __post_init__(self) -> None:
        """Refuse a negative beta."""
        if self.beta < 0:
            raise ValueError(f"beta is a weight and cannot be negative, got {self.beta}")

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted KL divergence."""
        return self.beta * batch.code.kl().sum(1).mean()


@PENALTIES.register("capacity")
@dataclass(frozen=True)
class Capacity:
    """gamma * |KL - C|, with C rising from 0 to ``capacity`` (Burgess et al. 2018, arXiv:1804.03599)."""

    gamma: float = 100.0
    capacity: float = 25.0
    """Where C ends, in nats."""
    steps: int = 10_000
    """Gradient steps over which C rises, linearly."""
    name = "capacity"
    needs_distribution = True

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if self.gamma < 0 or self.capacity < 0 or self.steps < 1:
            raise ValueError(
                "capacity needs gamma >= 0, capacity >= 0 nats and steps >= 1, got "
                f"gamma={self.gamma}, capacity={self.capacity}, steps={self.steps}"
            )

    def target(self, step: int) -> float:
        """Return C at ``step``, in nats."""
        return self.capacity * min(1.0, step / self.steps)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted distance of the mean KL divergence from C."""
        return self.gamma * (batch.code.kl().sum(1).mean() - self.target(batch.step)).abs()
