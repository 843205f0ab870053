"""Checks of arrays: the observation space that one has, and whether a model can learn from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from latentrl.data.bounds import (
    TOLERANCE,
    describe_outside,
    fraction_outside,
    holds_all_values,
)
from latentrl.types import Array

EXPECTED = (
    "expected uint8 or uint16 images (N, H, W) or (N, H, W, C), or floats: vectors (N, D), "
    "sequences (N, T, D) or images (N, H, W, C) in [0, 1]"
)
IMAGE_DTYPES = (np.uint8, np.uint16)
"""Types of images whose range is that of the type."""
WHOLE_NUMBERS = (
    "images in 0..255: array.astype(np.uint8), images in 0..65535: array.astype(np.uint16), "
    "vectors: array.astype(np.float32)"
)
REMEDIES = {
    "uint8": "reshape images to (N, H, W, C), turn vectors into floats by array.astype(np.float32)",
    "b": "images: array.astype(np.uint8) * 255, vectors: array.astype(np.float32)",
    "i": WHOLE_NUMBERS,
    "u": WHOLE_NUMBERS,
    "f": "one observation needs an axis in front, array[None]; one long series is cut into windows "
    "by as_frames(array, window=LENGTH), on the command line by --window LENGTH",
    "O": "stack observations of one shape by np.stack(list(array)), turn text into numbers",
}
"""Advice by dtype, or by kind of dtype."""


class HasShape(Protocol):
    """Shape and dtype, of an array or of images in files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, *observation_shape)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""


def space_of(source: HasShape, where: str, expected: spaces.Box | None = None) -> spaces.Box:
    """Observation space that the shape and dtype of ``source`` imply.

    Args:
        source: observations ``(N, *observation_shape)``.
        where: the subject of error messages, such as a path.
        expected: space to take instead where it fits: it has the bounds that an array lacks.

    Raises:
        ValueError: the array is empty, masked, holds labels, or has the shape or dtype of no
            observations.
    """
    refuse_masked(source, where)
    if 0 in source.shape:
        raise ValueError(f"{where} of shape {source.shape} is empty: {EXPECTED}, N >= 1")
    shape = source.shape[1:]
    dtype = source.dtype
    if expected is not None and _fits(shape, dtype, expected):
        return _in_dtype(expected, dtype)
    if len(shape) == 0 and dtype.kind in "iu":
        raise ValueError(
            f"{where} holds labels, not observations: {EXPECTED}; for labels there is read_labels, "
            "a series is cut from floats: as_frames(array.astype(np.float32), window=LENGTH)"
        )
    if len(shape) == 4:
        raise ValueError(
            f"{where} holds observations of four axes, {source.shape}: {EXPECTED}; the images of "
            "videos (N, T, H, W, C) are as_frames(array.reshape(-1, H, W, C), "
            "episodes=np.repeat(np.arange(N), T))"
        )
    # uint8 ``(N, D)`` is no vector: ``read_labels`` reads the same array as factors.
    if dtype in IMAGE_DTYPES and len(shape) in (2, 3):
        return spaces.Box(0, np.iinfo(dtype).max, shape, dtype.type)
    if dtype.kind == "f" and len(shape) in (1, 2):
        return _in_dtype(spaces.Box(-np.inf, np.inf, shape, np.float32), dtype)
    if dtype.kind == "f" and len(shape) == 3:
        _check_range(source, where)  # in floats of 0..255, 1 would pass for white
        return spaces.Box(0, 1, shape, np.float32)
    if not dtype.isnative:
        raise ValueError(
            f"{where} holds {dtype.name} of the other byte order, {dtype.str}: convert it by "
            f"array.astype(np.{dtype.name})"
        )
    remedy = REMEDIES.get(dtype.name, REMEDIES.get(dtype.kind, "convert them to numbers"))
    raise ValueError(f"{where} holds {dtype} of shape {source.shape}: {EXPECTED}; {remedy}")


def _fits(shape: tuple[int, ...], dtype: np.dtype[Any], space: spaces.Box) -> bool:
    return shape == space.shape and (dtype.kind == space.dtype.kind == "f" or dtype == space.dtype)


def _in_dtype(space: spaces.Box, dtype: np.dtype[Any]) -> spaces.Box:
    """Return a space of vectors of floats with the precision of the data, float32 or float64."""
    # The mean is subtracted in float64: a large offset, such as that of Unix time, needs it.
    if len(space.shape) > 2 or dtype.kind != "f":
        return space
    precision = np.float32 if np.can_cast(dtype, np.float32) else np.float64
    return spaces.Box(space.low.astype(precision), space.high.astype(precision), dtype=precision)


def refuse_masked(source: object, where: str) -> None:
    """Raise ``ValueError`` for a NumPy array with masked values, which would count as numbers."""
    masked = int(np.ma.getmaskarray(source).sum()) if isinstance(source, np.ma.MaskedArray) else 0
    if masked:
        raise ValueError(
            f"{where}: {masked} values are masked; replace them by array.filled(value), or keep "
            "the complete rows by array[~array.mask.any(axis=1)].data"
        )


def _check_range(images: Any, where: str) -> None:
    low = images.min()
    high = images.max()
    if low < 0 or high > 1 + TOLERANCE:
        raise ValueError(
            f"float images must lie in [0, 1], those of {where} go from {low:g} to {high:g}; "
            f"{_to_unit_range(low, high)}for 0..255 use uint8; in Python, "
            "space=gymnasium.spaces.Box(low, high, shape, np.float32) declares another range"
        )


def _to_unit_range(low: float, high: float) -> str:
    low, high = float(low), float(high)
    if not (high > low and math.isfinite(high - low)):
        return ""
    return f"scale them by (images - {low:g}) / {high - low:g}; ".replace("- -", "+ ")


def check_validation(fraction: float) -> None:
    """Raise ``ValueError`` unless the fraction to hold out for validation is between 0 and 1."""
    if not 0 < fraction < 1:
        raise ValueError(f"validation is a fraction between 0 and 1, got {fraction}")


def check_observations(
    batches: Iterable[Array], count: int, bounds: spaces.Box | None = None
) -> None:
    """Check that observations are finite, within their bounds and not all equal.

    Args:
        batches: ``count`` observations in all, ``(B, *observation_shape)``. No batch is read after
            the first that differs, where no value can be NaN or out of bounds.
        count: number of observations, for the error message.
        bounds: space of images, whose bounds they have to keep; None compares none.

    Raises:
        ValueError: some observation contains NaN or infinity, or leaves its bounds, or all are
            equal.
    """
    free = bounds is None or holds_all_values(bounds)
    first: Array | None = None
    same = True
    start = 0
    for batch in batches:
        # Equal to the first is equal to all: no other observation has to be kept.
        first = batch[0] if first is None else first
        same = same and bool((batch == first).all())
        if batch.dtype.kind == "f":
            _check_finite(batch, start)
        elif free and not same:
            return  # integers are always finite
        if bounds is not None and not free:
            _check_bounds(batch, bounds, start)
        start += len(batch)
    if same:
        raise ValueError(
            f"all {count} observations are identical: there is nothing to learn; "
            "look at what wrote them"
        )


def first_not_finite(batch: Array) -> int | None:
    """Return the first row of ``batch``, ``(B, ...)``, with NaN or infinity; None for none."""
    bad = ~np.isfinite(batch).reshape(len(batch), -1).all(1)
    return int(bad.argmax()) if bad.any() else None


def _check_finite(batch: Array, start: int) -> None:
    row = first_not_finite(batch)
    if row is not None:
        raise ValueError(
            f"frames contain NaN or infinity, first in observation {start + row}; "
            "repair or drop such observations; a model of complete ones can fill what is missing "
            "(inpaint)"
        )


def _check_bounds(batch: Array, space: spaces.Box, start: int) -> None:
    bad = fraction_outside(batch, space) > TOLERANCE
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(
            f"the frames from observation {start + first} on "
            f"{describe_outside(batch[first:], space)}: build the model for a space with the "
            "range of the data, or scale the data"
        )
