"""Checks of arrays: the observation space that one has, and whether a model can learn from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from latentrl.types import Array, as_space

EXPECTED = (
    "expected uint8 images (N, H, W) or (N, H, W, C), or floats: vectors (N, D), sequences "
    "(N, T, D) or images (N, H, W, C) in [0, 1]"
)
WHOLE_NUMBERS = "images in 0..255: array.astype(np.uint8), vectors: array.astype(np.float32)"
REMEDIES = {
    "uint8": "reshape images to (N, H, W, C), turn vectors into floats by array.astype(np.float32)",
    "b": "images: array.astype(np.uint8) * 255, vectors: array.astype(np.float32)",
    "i": WHOLE_NUMBERS,
    "u": WHOLE_NUMBERS,
    "f": "a single observation needs an axis in front, array[None]",
    "O": "stack observations of one shape by np.stack(list(array))",
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


def space_of(source: HasShape, where: str) -> spaces.Box:
    """Observation space that the shape and dtype of ``source`` imply.

    Args:
        source: observations ``(N, *observation_shape)``.
        where: the subject of error messages, such as a path.

    Raises:
        ValueError: the array is empty, holds labels, or has the shape or dtype of no observations.
    """
    if len(source.shape) == 1 and source.dtype.kind in "iu":
        raise ValueError(
            f"{where} holds labels, not observations: {EXPECTED}; for labels there is read_labels"
        )
    if 0 in source.shape:
        raise ValueError(f"{where} of shape {source.shape} is empty: {EXPECTED}, N >= 1")
    shape = source.shape[1:]
    dtype = source.dtype
    # uint8 ``(N, D)`` is no vector: ``read_labels`` reads the same array as factors.
    if dtype == np.uint8 and len(shape) in (2, 3):
        return as_space(shape)
    if dtype.kind == "f" and len(shape) in (1, 2):
        return spaces.Box(-np.inf, np.inf, shape, np.float32)
    if dtype.kind == "f" and len(shape) == 3:
        _check_range(source, where)  # in floats of 0..255, 1 would pass for white
        return spaces.Box(0, 1, shape, np.float32)
    remedy = REMEDIES.get(dtype.name, REMEDIES.get(dtype.kind, "convert them to numbers"))
    raise ValueError(f"{where} holds {dtype} of shape {source.shape}: {EXPECTED}; {remedy}")


def _check_range(images: Any, where: str) -> None:
    low = images.min()
    high = images.max()
    if low < 0 or high > 1:
        raise ValueError(
            f"float images must lie in [0, 1], those of {where} go from {low:g} to {high:g}; "
            "for 0..255 use uint8"
        )


def check_observations(batches: Iterable[Array], count: int) -> None:
    """Check that observations are finite and not all equal.

    Args:
        batches: ``count`` observations in all, ``(B, *observation_shape)``. Of images, no batch is
            read after the first that differs.
        count: number of observations, for the error message.

    Raises:
        ValueError: some observation contains NaN or infinity, or all are equal.
    """
    first: Array | None = None
    same = True
    start = 0
    for batch in batches:
        # Equal to the first is equal to all: no other observation has to be kept.
        first = batch[0] if first is None else first
        same = same and bool((batch == first).all())
        if batch.dtype.kind == "f":
            _check_finite(batch, start)
        elif not same:
            return  # integers are always finite
        start += len(batch)
    if same:
        raise ValueError(
            f"all {count} observations are identical: there is nothing to learn; "
            "look at what wrote them"
        )


def _check_finite(batch: Array, start: int) -> None:
    bad = ~np.isfinite(batch).reshape(len(batch), -1).all(1)
    if bad.any():
        raise ValueError(
            f"frames contain NaN or infinity, first in observation {start + bad.argmax()}; "
            "repair or drop such observations"
        )
