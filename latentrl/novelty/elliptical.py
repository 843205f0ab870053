"""E3B: how far a code lies outside the ellipse of those of its episode."""

from __future__ import annotations

import numpy as np

from latentrl.novelty.base import NOVELTIES, Bonus, grown, rows_for
from latentrl.types import Array


@NOVELTIES.register("elliptical")
class Elliptical(Bonus):
    """phi' C^-1 phi, C the ridge plus the sum of phi phi' over the episode (Henaff et al. 2022,
    arXiv:2210.05805).

    phi is the code. The inverse is kept up to date by the Sherman-Morrison formula, all
    environments in one operation, in float64: in float32 large codes make it indefinite. A
    resumption forgets it.
    """

    def __init__(self, ridge: float = 0.1) -> None:
        """Take the ``ridge``: large values forget small directions.

        Raises:
            ValueError: it is not positive.
        """
        if not ridge > 0:
            raise ValueError(f"ridge must be positive, got {ridge}")
        self.ridge = ridge
        self.inverse = np.zeros((0, 0, 0))
        self._rows: Array | None = None

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the squared length of each code in the metric of its episode."""
        rows = self._fit_to(latents)
        scores: Array = np.einsum("bi,bij,bj->b", latents, self.inverse[rows], latents)
        return scores.astype(np.float32)

    def update(self, observations: Array, latents: Array) -> None:
        """Add the codes to the sums of their episodes."""
        rows = self._fit_to(latents)
        image = np.einsum("bij,bj->bi", self.inverse[rows], latents)
        scale = 1 + (image * latents).sum(1)
        self.inverse[rows] -= image[:, :, None] * (image / scale[:, None])[:, None]

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Forget the episodes of these environments."""
        places = self._fit_to(latents)
        self.inverse[places[rows]] = np.eye(latents.shape[1]) / self.ridge

    def select(self, rows: Array) -> None:
        """Take the next batch for these environments."""
        self._rows = rows

    def _fit_to(self, latents: Array) -> Array:
        rows, size = rows_for(self._rows, len(latents)), latents.shape[1]
        if not len(self.inverse):
            self.inverse = np.zeros((0, size, size))
        self.inverse = grown(self.inverse, rows, np.eye(size) / self.ridge)
        return rows
