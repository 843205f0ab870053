"""Linear probe: how well a linear function of the latents predicts known factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentrl.types import Array

RIDGE = 1e-3
"""Quadratic penalty per row, for standardised latents."""


def linear_probe(
    latents: Array,
    factors: Array,
    groups: Array,
    penalties: Sequence[float] = (RIDGE,),
    training: Array | None = None,
) -> Array:
    """Return the R2 of ridge regression from latents to each factor, ``(F,)``, at most 1.

    Every second group trains the regression and the others test it: frames of one episode are
    nearly equal, and a split of frames would leak. A single group is cut in the middle.

    Args:
        latents: ``(N, latent_dim)``.
        factors: ``(N, F)`` numbers.
        groups: number of each row's group, such as its episode, ``(N,)``.
        penalties: quadratic penalties per row. Of several, each factor gets the one that predicts
            it best on half of the groups for the training, fitted to the other half.
        training: which rows train the regression, bool ``(N,)``; None for those of every second
            group.

    Raises:
        ValueError: a factor is constant on the rows for the test.
    """
    training = training_rows(groups) if training is None else training
    z = _standardised(latents.astype(np.float64), training)
    y = factors.astype(np.float64)
    held_out = y[~training]
    variance = np.square(held_out - held_out.mean(0)).sum(0)
    if not variance.all():
        raise ValueError(
            f"factor {int(np.argmin(variance))} is constant on the rows for the test; drop it, or "
            "add episodes with other values"
        )
    chosen = np.zeros(y.shape[1], int)
    if len(penalties) > 1:
        inner = training_rows(groups[training])
        chosen = _residuals(z[training], y[training], inner, penalties).argmin(0)
    residuals = _residuals(z, y, training, penalties)[chosen, np.arange(y.shape[1])]
    scores: Array = 1 - residuals / variance
    return scores


def training_rows(groups: Array) -> Array:
    """Return which rows train a probe: those of every second group, bool ``(N,)``."""
    numbers, ranks = np.unique(groups, return_inverse=True)
    if len(numbers) == 1:
        ranks = np.arange(len(groups)) * 2 // len(groups)
    rows: Array = ranks % 2 == 0
    return rows


def _residuals(z: Array, y: Array, training: Array, penalties: Sequence[float]) -> Array:
    """Squared error of each factor on the other rows, summed, ``(len(penalties), F)``."""
    z_train, centre = z[training], y[training].mean(0)
    products, targets = z_train.T @ z_train, z_train.T @ (y[training] - centre)
    residuals = []
    for penalty in penalties:
        ridge = penalty * len(z_train) * np.eye(z.shape[1])
        predicted = centre + z[~training] @ np.linalg.solve(products + ridge, targets)
        residuals.append(np.square(y[~training] - predicted).sum(0))
    return np.array(residuals)


def _standardised(latents: Array, training: Array) -> Array:
    chosen = latents[training]
    scaled: Array = (latents - chosen.mean(0)) / (chosen.std(0) + 1e-8)
    return scaled
