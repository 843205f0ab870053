"""Terms on the KL divergence of the posterior from the prior."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentrl.models.heads import GaussianPosterior
from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight


@LOSSES.register("kl")
@dataclass(frozen=True)
class KL(Loss):
    """beta * KL(q(z|x) || N(0, I)) (Higgins et al. 2017, "beta-VAE", ICLR)."""

    beta: float = 1.0
    """Weight of the KL divergence."""
    free_bits: float = 0.0
    """Nats per dimension without cost: sum of max(KL_j, free_bits) (Kingma et al. 2016)."""
    needs = GaussianPosterior

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where a value is negative."""
        check_weight("beta", self.beta)
        if self.free_bits < 0:
            raise ValueError(
                f"free_bits are nats per dimension and cannot be negative, got {self.free_bits}"
            )

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted KL divergence."""
        # The floor applies to the mean over the batch, as in Kingma et al.: single observations may
        # carry less.
        return self.beta * batch.posterior.kl().mean(0).clamp(min=self.free_bits).sum()


@LOSSES.register("capacity")
@dataclass(frozen=True)
class Capacity(Loss):
    """gamma * |KL - C|, C rising from 0 to ``capacity`` (Burgess et al. 2018, arXiv:1804.03599)."""

    gamma: float = 100.0
    """Weight of the distance from C."""
    capacity: float = 25.0
    """Final value of C in nats."""
    steps: int = 10_000
    """Gradient steps over which C rises, linearly."""
    needs = GaussianPosterior

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
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
        return self.gamma * (batch.posterior.kl().sum(1).mean() - self.target(batch.step)).abs()
