"""The range of each channel of images, from the observation space or from the data."""

from __future__ import annotations

import warnings

import numpy as np
from gymnasium import spaces

from latentrl.data.bounds import channel_bounds
from latentrl.types import Array

NARROW = 0.1
"""Images that use a smaller fraction of a channel's declared range are scaled by the data."""

MIDDLE = (0.001, 0.999)
"""Quantiles between which nearly all values lie."""
SAMPLE = 2**20
"""Most values that the quantiles of a channel are computed from."""
BEYOND = 0.1
"""Part of the range's width by which a value has to be outside of it, for a warning."""

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
    bounds = finite_range(np.where(unknown, lowest, low), np.where(narrow, highest, high))
    if sample.dtype != np.uint8:
        _warn_of_extremes(sample.reshape(-1, len(low)), *bounds)
    return bounds


def _warn_of_extremes(pixels: Array, low: Array, high: Array) -> None:
    """Warn where a few values alone keep the range of a channel from being that of the others."""
    step = -(-len(pixels) // SAMPLE)
    below, above = np.quantile(pixels[::step], MIDDLE, axis=0, method="nearest")
    blinded = (above > below) & (above - below < NARROW * (high - low))
    if blinded.any():
        i = int(blinded.argmax())
        where = f" in channel {i}" if len(low) > 1 else ""
        ends = float(pixels[:, i].min()), float(pixels[:, i].max())
        farthest = max(ends, key=lambda value: abs(value - float(above[i])))
        warnings.warn(
            f"nearly all values of the images use {below[i]:g} to {above[i]:g}{where}, less than a "
            f"tenth of the range {low[i]:g} to {high[i]:g} by which they are scaled, and a few "
            f"reach {farthest:g}: the others hardly count. If the few are faults, such as hot "
            f"pixels, clip them by np.clip(images, {below[i]:g}, {above[i]:g}); otherwise use a "
            "scale on which they are less extreme, such as a logarithm",
            UserWarning,
            stacklevel=5,
        )


def channel_beyond(images: Array, bounds: Bounds, margin: float) -> int | None:
    """Return the first channel of images that leaves its bounds, None where none does.

    Args:
        images: ``(B, H, W[, C])`` or one without ``B``.
        bounds: lowest and highest value of each channel.
        margin: part of the width by which a value has to be outside.
    """
    low, high = bounds
    if not images.size:
        return None
    # First over the images: a reduction over all pixels has an inner loop of only C values.
    rows = images.reshape(len(images), -1)
    darkest, brightest = (f(0).reshape(-1, len(low)) for f in (rows.min, rows.max))
    slack = margin * (high - low)
    outside = (darkest.min(0) < low - slack) | (brightest.max(0) > high + slack)
    return int(outside.argmax()) if outside.any() else None


def warn_of_values_beyond(images: Array, bounds: Bounds | None) -> None:
    """Warn of images ``(B, H, W[, C])`` with values that a model's own range does not hold."""
    channel = None if bounds is None else channel_beyond(images, bounds, BEYOND)
    if bounds is None or channel is None:
        return
    values = images.reshape(-1, len(bounds[0]))[:, channel]
    warnings.warn(
        f"images have values from {values.min():g} to {values.max():g}, and the model scales by "
        f"the range {bounds[0][channel]:g} to {bounds[1][channel]:g} of the images of its "
        "training: no reconstruction leaves it. Train on images that show such values",
        UserWarning,
        stacklevel=5,
    )


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
