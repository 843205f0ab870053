"""Linear probe: how well a linear function of the latents predicts known factors."""

from __future__ import annotations

import numpy as np

from latentrl.types import Array

RIDGE = 1e-3
"""Quadratic penalty per row, for standardised latents."""


def linear_probe(latents: Array, factors: Array, groups: Array) -> Array:
    """Return the R2 of ridge regression from latents to each factor, ``(F,)``, at most 1.

    Every second group trains the regression and the others test it: frames of one episode are
    nearly equal, and a split of frames would leak. A single group is cut in the middle.

    Args:
        latents: ``(N, latent_dim)``.
        factors: ``(N, F)`` numbers.
        groups: number of each row's group, such as its episode, ``(N,)``.

    Raises:
        ValueError: a factor is constant on the rows for the test.
    """
    training = _training_rows(groups)
    z = _standardised(latents.astype(np.float64), training)
    y, held_out = factors[training].astype(np.float64), factors[~training].astype(np.float64)
    z_train, centre = z[training], y.mean(0)
    penalty = RIDGE * len(z_train) * np.eye(z.shape[1])
    weights = np.linalg.solve(z_train.T @ z_train + penalty, z_train.T @ (y - centre))
    residual = np.square(held_out - centre - z[~training] @ weights).sum(0)
    variance = np.square(held_out - held_out.mean(0)).sum(0)
    if not variance.all():
        raise ValueError(
            f"factor {int(np.argmin(variance))} is constant on the rows for the test; drop it, or "
            "add episodes with other values"
        )
    scores: Array = 1 - residual / variance
    return scores


def _training_rows(groups: Array) -> Array:
    numbers, ranks = np.unique(groups, return_inverse=True)
    if len(numbers) == 1:
        ranks = np.arange(len(groups)) * 2 // len(groups)
    rows: Array = ranks % 2 == 0
    return rows


def _standardised(latents: Array, training: Array) -> Array:
    chosen = latents[training]
    scaled: Array = (latents - chosen.mean(0)) / (chosen.std(0) + 1e-8)
    return scaled
