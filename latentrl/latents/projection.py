"""Projection of latents to a plane."""

from __future__ import annotations

import numpy as np

from latentrl.types import Array


def principal_plane(latents: Array) -> tuple[Array, Array]:
    """Coordinates of ``latents (N, latent_dim)`` along their first two principal components.

    Returns:
        Coordinates ``(N, 2)`` about the mean, and the fraction of the variance along each,
        ``(2,)``. If there is only one component, the second is zero.
    """
    centred = latents - latents.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(latents))
    # eigh returns ascending eigenvalues, and tiny negative ones where the variance is zero.
    variances = variances[::-1].clip(min=0)
    axes = axes[:, ::-1][:, :2]
    # An eigenvector has no sign of its own: its largest entry is made positive.
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    missing = 2 - axes.shape[1]
    coordinates = np.pad(centred @ (axes * np.sign(largest)), ((0, 0), (0, missing)))
    total = max(float(variances.sum()), np.finfo(np.float64).tiny)
    fractions = np.pad(variances[:2], (0, missing)) / total
    return coordinates, fractions
