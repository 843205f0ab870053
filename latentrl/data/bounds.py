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
    low: Array = space.low.min(0).reshape(-1, channels).min(0).astype(np.float64)
    high: Array = space.high.max(0).reshape(-1, channels).max(0).astype(np.float64)
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
    # The extremes of a whole batch are faster still, and decide most of them.
    if not images.size or (images.min() >= low.max() and images.max() <= high.min()):
        return np.zeros(len(images))
    fractions: Array = _beyond(*_extremes(images, space), space).max(1)
    return fractions


def describe_outside(images: Array, space: spaces.Box) -> str:
    """Return words for the channel that leaves its bounds furthest: its range, and that declared.

    Args:
        images: images ``(B, H, W[, C])``.
        space: the space that declares the bounds.
    """
    low, high = channel_bounds(space)
    lowest, highest = _extremes(images, space)
    worst = int(_beyond(lowest, highest, space).max(0).argmax())
    where = f" in channel {worst}" if len(low) > 1 else ""
    return (
        f"go from {lowest.min(0)[worst]:g} to {highest.max(0)[worst]:.7g}{where}, their space "
        f"declares {low[worst]:g} to {high[worst]:g}"
    )


def clip(images: Array, space: spaces.Box) -> Array:
    """Return images ``(B, H, W[, C])`` or one of them, clipped to the bounds of their channels."""
    low, high = channel_bounds(space)
    clipped: Array = np.clip(images, low, high).astype(images.dtype)
    return clipped


def _extremes(images: Array, space: spaces.Box) -> tuple[Array, Array]:
    """Lowest and highest value of each channel in each image, float64 ``(B, C)``."""
    channels = len(channel_bounds(space)[0])
    # Whole rows of pixels first: to reduce along a few channels is 40 times as slow.
    rows = images.reshape(len(images), images.shape[1], -1)
    lowest, highest = rows.min(1), rows.max(1)
    return (
        lowest.reshape(len(images), -1, channels).min(1).astype(np.float64),
        highest.reshape(len(images), -1, channels).max(1).astype(np.float64),
    )


def _beyond(lowest: Array, highest: Array, space: spaces.Box) -> Array:
    """Fraction of its range by which each channel leaves it, of one without a range in its units.

    ``lowest`` and ``highest`` are what ``_extremes`` returns, and so is the shape.
    """
    low, high = channel_bounds(space)
    width = np.where(np.isfinite(high - low) & (high > low), high - low, 1.0)
    fractions: Array = (np.maximum(low - lowest, highest - high) / width).clip(0)
    return fractions
