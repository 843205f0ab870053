"""Reconstruction of what moves: pixels that changed since the previous observation weigh more."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight

CHANGE_THRESHOLD = 0.02
"""Difference from the previous observation, in scaled units, above which a value has changed."""


@LOSSES.register("change")
@dataclass(frozen=True)
class Change(Loss):
    """weight * -log p of the pixels that changed since the previous observation of the episode.

    What an agent acts on moves, and is often a small fraction of an image that a sum over all
    pixels hides. A weight near one over the fraction of changing pixels gives both the same part
    of the loss. Observations without an order have no previous one, and the term is 0.
    """

    weight: float = 16.0
    """Weight of the changed values, in addition to the 1 that every value has."""
    needs_previous = True
    weighs_pixels = True

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term."""
        if batch.previous is None:
            return batch.nll.new_zeros(())
        changed = changed_values(batch.x, batch.previous)
        return self.weight * (batch.nll * changed).flatten(1).sum(1).mean()


def changed_values(x: Tensor, previous: Tensor) -> Tensor:
    """Return where observations differ from their previous ones, bool that broadcasts to ``x``.

    A pixel has changed where one of its channels has: images give ``(B, 1, H, W)``.

    Args:
        x: scaled observations ``(B, *shape)``.
        previous: the scaled observations one step earlier, of the same shape.
    """
    changed = (x - previous).abs() > CHANGE_THRESHOLD
    return changed.any(1, keepdim=True) if x.ndim == 4 else changed
