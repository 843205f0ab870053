"""Images in place of a decoder that the page cannot run."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.explorer.encoding import to_sheet
from latentrl.viz.explorer.latents import thumbnails
from latentrl.viz.images import network_images

SLIDERS = 16
"""Dimensions that have a traversal, those of the first sliders."""
POSITIONS = 15
"""Images along a slider."""
SIDE = 128
"""Longer side of an image in pixels."""
SHEET_BYTES = 700_000
QUALITIES = (90, 60, 30)
"""JPEG qualities of a sheet, the first that is within ``SHEET_BYTES``."""


def traversals(
    model: Autoencoder, start: Array, dimensions: list[dict[str, Any]]
) -> dict[str, Any]:
    """Decode one dimension at a time over its slider's range, all others as in ``start``.

    Args:
        model: a model with a decoder.
        start: latent ``(latent_dim,)``.
        dimensions: the sliders, as ``latents.dimensions`` returns them.
    """
    moved = dimensions[:SLIDERS]
    latents = np.tile(start, (len(moved), POSITIONS, 1))
    for row, dimension in zip(latents, moved, strict=True):
        row[:, dimension["index"]] = np.linspace(dimension["low"], dimension["high"], POSITIONS)
    images = decoded(model, latents.reshape(-1, model.latent_dim))
    return {"positions": POSITIONS, "sheet": to_sheet(images, SHEET_BYTES, QUALITIES)}


def reconstructions(model: Autoencoder, latents: Array) -> dict[str, Any]:
    """Decode the latents ``(T, latent_dim)`` of an episode."""
    return to_sheet(decoded(model, latents), SHEET_BYTES, QUALITIES)


def decoded(model: Autoencoder, latents: Array) -> Array:
    """Decode latents ``(B, latent_dim)`` to small RGB images ``(B, h, w, 3)``."""
    return thumbnails(network_images(model, model.decode(latents)), SIDE)
