"""Penalties on the reconstruction of what was damaged."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentrl.heads import Code
from latentrl.penalties.base import PENALTIES, Batch, check_weight


@PENALTIES.register("hole")
@dataclass(frozen=True)
class Hole:
    """weight * -log p of the values that the corruption removed or changed, on top of the reconstruction."""

    weight: float = 4.0
    name = "hole"
    needs = Code
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Refuse a negative weight."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term; 0 where nothing was changed."""
        removed = (batch.inputs == 0) & batch.inputs.signbit()  # corruption.REMOVED, also where the target is black
        return self.weight * (batch.nll * (removed | (batch.inputs != batch.x))).flatten(1).sum(1).mean()
