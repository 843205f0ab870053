"""The reconstruction error, and terms that weigh some of its values more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from latentrl.models.likelihoods import Likelihood
from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight
from latentrl.utils.registry import Registry

if TYPE_CHECKING:
    from latentrl.models.autoencoder import Autoencoder


class Reconstruction(nn.Module):
    """What the reconstruction error is measured in; the default for a subclass is the values."""

    has_pixel_likelihood = True
    """Whether ``nll`` is the likelihood of the observation's own values."""

    def check(self, likelihood: Likelihood, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` where this does not suit the likelihood or inputs of ``shape``."""

    def nll(self, likelihood: Likelihood, outputs: Tensor, x: Tensor) -> Tensor:
        """Return -log p of each measured value in nats, ``(B, ...)``.

        Args:
            likelihood: distribution that ``outputs`` parameterise.
            outputs: the decoder's raw outputs, float32.
            x: scaled observations ``(B, *shape)``.
        """
        return -likelihood.log_prob(outputs, x)

    def prerequisite(self) -> Autoencoder | None:
        """Return a model that ``fit`` has to train first; None where all is ready."""
        return None

    def complete(self, prerequisite: Autoencoder) -> None:
        """Receive the trained ``prerequisite``."""


RECONSTRUCTIONS: Registry[Reconstruction] = Registry("reconstruction")
"""Reconstruction terms by name."""


@RECONSTRUCTIONS.register("pixels")
class Pixels(Reconstruction):
    """The likelihood of every value of the observation."""


@LOSSES.register("hole")
@dataclass(frozen=True)
class Hole(Loss):
    """weight * -log p of the values that corruptions removed or changed, beside all values."""

    weight: float = 4.0
    """Weight of the corrupted values, in addition to the 1 that every value has."""
    weighs_pixels = True

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term; 0 where the inputs are clean."""
        corrupted = batch.inputs != batch.x
        if batch.mask is not None:
            # A removed value that was 0 before is equal in inputs and target: a black hole in a
            # black region still counts.
            corrupted = corrupted | batch.mask
        return self.weight * (batch.nll * corrupted).flatten(1).sum(1).mean()


@LOSSES.register("topk")
@dataclass(frozen=True)
class TopK(Loss):
    """weight * -log p of the worst reconstructed values of each observation.

    A small, rare object, such as a key on a floor, contributes little to a sum over all values;
    hard example mining (Shrivastava et al. 2016, arXiv:1604.03540) keeps it.
    """

    weight: float = 4.0
    """Weight of the chosen values, in addition to the 1 that every value has."""
    fraction: float = 0.02
    """Fraction of the values of each observation that are chosen."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative or the fraction outside (0, 1]."""
        check_weight("weight", self.weight)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must lie in (0, 1], got {self.fraction}")

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term."""
        nll = batch.nll.flatten(1)
        count = max(1, round(self.fraction * nll.shape[1]))
        return self.weight * nll.topk(count, sorted=False).values.sum(1).mean()
