"""Images against the bounds that their space declares for each channel."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from latentrl.types import Array

TOLERANCE = 1e-3
"""Fraction of its range by which a channel may leave it: more than rounding ever does."""


def channel_bounds(space: spaces.Box) -> tuple[Array, Array]:
    """Return the lowest and the highest value of each channel of images, float64 ``(C,)``."""
    channels = space.shape[-1] if len(space.shape) == 3 else 1
    low: Array = space.low.reshape(-1, channels).min(0).astype(np.float64)
    high: Array = space.high.reshape(-1, channels).max(0).astype(np.float64)
    return low, high


def holds_all_values(space: spaces.Box) -> bool:
    """Return whether the bounds are those of the dtype, such as 0..255 of uint8."""
    if not np.issubdtype(space.dtype, np.integer):
        return False
    limits = np.iinfo(str(space.dtype))
    return bool(space.low.max() <= limits.min and space.high.min() >= limits.max)


def fraction_outside(images: Array, space: spaces.Box) -> Array:
    """Return the largest fraction of a channel's range by which each image leaves it, ``(B,)``.

    Args:
        images: finite images ``(B, H, W[, C])`` of any height and width.
        space: the space that declares the bounds.
    """
    low, high = channel_bounds(space)
    # The extremes of a whole batch are much faster than a comparison of each value.
    if not images.size or (images.min() >= low.max() and images.max() <= high.min()):
        return np.zeros(len(images))
    width = np.where(np.isfinite(high - low), high - low, 1.0)
    beyond = np.maximum(low - images, images - high) / width
    fractions: Array = beyond.reshape(len(images), -1).max(1).clip(0)
    return fractions


def describe_outside(images: Array, space: spaces.Box) -> str:
    """Return words for the channel that leaves its bounds furthest: its range, and that declared.

    Args:
        images: images ``(B, H, W[, C])``.
        space: the space that declares the bounds.
    """
    low, high = channel_bounds(space)
    pixels = images.reshape(-1, len(low))
    lowest, highest = pixels.min(0).astype(np.float64), pixels.max(0).astype(np.float64)
    worst = int(np.maximum(low - lowest, highest - high).argmax())
    where = f" in channel {worst}" if len(low) > 1 else ""
    return (
        f"go from {lowest[worst]:g} to {highest[worst]:.7g}{where}, their space declares "
        f"{low[worst]:g} to {high[worst]:g}"
    )
