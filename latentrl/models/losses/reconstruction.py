"""Penalties on the reconstruction of what was damaged, or is hard."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentrl.models.heads import Posterior
from latentrl.models.losses.base import LOSSES, Batch, check_weight


@LOSSES.register("hole")
@dataclass(frozen=True)
class Hole:
    """weight * -log p of the values that the corruption removed or changed, on top of the
    reconstruction.
    """

    weight: float = 4.0
    name = "hole"
    needs = Posterior
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Refuse a negative weight."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term; 0 where nothing was changed."""
        removed = (
            batch.inputs == 0
        ) & batch.inputs.signbit()  # corruption.REMOVED, also where the target is black
        return (
            self.weight
            * (batch.nll * (removed | (batch.inputs != batch.x))).flatten(1).sum(1).mean()
        )


@LOSSES.register("topk")
@dataclass(frozen=True)
class TopK:
    """weight * -log p of the ``share`` of each observation's values that are reconstructed worst.

    Small and rare things, a key on a floor, are lost in a sum over all values; mining the hardest
    ones (Shrivastava et al. 2016, arXiv:1604.03540) keeps them.
    """

    weight: float = 4.0
    share: float = 0.02
    name = "topk"
    needs = Posterior
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Refuse a negative weight, and a share outside (0, 1]."""
        check_weight("weight", self.weight)
        if not 0 < self.share <= 1:
            raise ValueError(f"share must lie in (0, 1], got {self.share}")

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term."""
        nll = batch.nll.flatten(1)
        count = max(1, round(self.share * nll.shape[1]))
        return self.weight * nll.topk(count, sorted=False).values.sum(1).mean()
