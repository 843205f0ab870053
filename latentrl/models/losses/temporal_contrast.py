"""Latents that separate the moments of an episode: a contrast of successive observations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight

LEAST_LENGTH = 0.01
"""Least length of a standardised cell: shorter ones, which hold next to nothing, count less."""
STILL = -100
"""Target of a row without a previous one to find, which the cross-entropy ignores."""
TINY = 1e-3
"""Added to standard deviations, so that constant latents have none of 0."""


@LOSSES.register("temporal_contrast")
@dataclass(frozen=True)
class TemporalContrast(Loss):
    """weight * InfoNCE of each cell: which observation of the batch is one step before this one.

    The local objective of ST-DIM (Anand et al. 2019, arXiv:1906.08226), with InfoNCE (van den Oord
    et al. 2018, arXiv:1807.03748): a cell is compared with the same cell of the previous
    observation and of those of the other rows. What differs between the moments of an episode, such
    as the position of an object, then separates the latents, and noise does not. The similarity is
    the cosine of the cells' values, standardised over the batch. Without a grid, the whole latent
    is one cell. A row that equals its previous one is only a candidate: it begins an episode,
    nothing moved, or the observations have no order. Without other rows, the term is 0.
    """

    weight: float = 30.0
    """Weight of the sum over cells, in nats."""
    temperature: float = 0.1
    """Divisor of the cosines: the smaller, the more the most similar rows count."""
    needs_previous = True

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative or the temperature not positive."""
        check_weight("weight", self.weight)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term."""
        if batch.previous is None:
            return batch.nll.new_zeros(())
        before = batch.head(batch.encoder(batch.previous)).mean
        now, before = _directions(batch.posterior.mean, before, batch.cells)
        logits = torch.einsum("icv,jcv->cij", now, before) / self.temperature
        still = (batch.x == batch.previous).flatten(1).all(1)
        rows = torch.arange(len(now), device=logits.device).masked_fill(still, STILL)
        targets = rows.expand(batch.cells, -1)
        contrast = F.cross_entropy(
            logits.transpose(1, 2), targets, ignore_index=STILL, reduction="sum"
        )
        return self.weight * contrast / len(now)


def _directions(now: Tensor, before: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the cells of two latents ``(B, latent_dim)`` as unit vectors ``(B, cells, values)``.

    Each of a cell's values is standardised by all rows and cells.
    """
    both = torch.stack([now, before]).reshape(2, len(now), -1, cells)  # (2, B, values, cells)
    # Constants: the contrast could otherwise be reduced by moving the mean of the batch.
    std, mean = torch.std_mean(both.detach(), (0, 1, 3), correction=0, keepdim=True)
    directions = F.normalize((both - mean) / (std + TINY), dim=2, eps=LEAST_LENGTH)
    first, second = directions.transpose(2, 3)
    return first, second
