"""The range of each channel of images, from the observation space or from the data."""

from __future__ import annotations

import warnings

import numpy as np
from gymnasium import spaces

from latentrl.data.bounds import channel_bounds
from latentrl.types import Array

NARROW = 0.1
"""Images that use a smaller fraction of a channel's declared range are scaled by the data."""

Bounds = tuple[Array, Array]
"""Lowest and highest value of each channel, float64 ``(C,)``."""


def declared_range(space: spaces.Box) -> Bounds:
    """Return the bounds that ``space`` declares for each channel, infinite ones among them.

    Raises:
        ValueError: a channel has one value only.
    """
    low, high = channel_bounds(space)
    if (high <= low).any():
        channel = int((high <= low).argmax())
        raise ValueError(
            f"images need a range to be scaled to [0, 1], got low={low[channel]:g}, "
            f"high={high[channel]:g}; give the Box its true range, for example "
            "Box(0, 255, shape, np.uint8)"
        )
    return low, high


def finite_range(low: Array, high: Array) -> Bounds:
    """Return the bounds with 0 for a low that is infinite, and a width of 1 where high is."""
    low = np.where(np.isfinite(low), low, 0.0)
    return low, np.where(np.isfinite(high), high, low + 1)


def range_of(sample: Array, declared: Bounds) -> Bounds:
    """Return the declared range, or that of the data where they use less than a tenth of it.

    Args:
        sample: images ``(B, H, W[, C])``.
        declared: bounds of the observation space.

    Warns:
        UserWarning: a channel gets the range of the data.
    """
    low, high = declared
    # First over the images: a reduction over all pixels has an inner loop of only C values.
    darkest, brightest = (f(0).reshape(-1, len(low)) for f in (sample.min, sample.max))
    lowest, highest = darkest.min(0).astype(np.float64), brightest.max(0).astype(np.float64)
    # A constant channel has no range of its own and keeps the declared one.
    narrow = (highest > lowest) & (highest - lowest < NARROW * (high - low))
    if narrow.any():
        _warn(int(narrow.argmax()), declared, (lowest, highest))
    unknown = narrow | ~np.isfinite(low)
    return finite_range(np.where(unknown, lowest, low), np.where(narrow, highest, high))


def _warn(channel: int, declared: Bounds, used: Bounds) -> None:
    low, high = (f"{bound[channel]:g}" for bound in declared)
    lowest, highest = (f"{bound[channel]:g}" for bound in used)
    where = f" in channel {channel}" if len(declared[0]) > 1 else ""
    warnings.warn(
        f"the images use {lowest} to {highest}{where}, less than a tenth of the declared range "
        f"{low} to {high}: they are scaled by the range that they use; to choose another, declare "
        "it in the observation space",
        UserWarning,
        stacklevel=4,
    )


def resized_space(space: spaces.Box, size: tuple[int, int]) -> spaces.Box:
    """Return the space of images of ``space`` after a crop and a resize to ``size``."""
    shape = (*size, *space.shape[2:])
    low, high = np.broadcast_to(space.low.min((0, 1)), shape), space.high.max((0, 1))
    return spaces.Box(low, np.broadcast_to(high, shape), dtype=space.dtype.type)
