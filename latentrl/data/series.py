"""Sequences of equal length, cut from one long series."""

from __future__ import annotations

import numpy as np

from latentrl.data.images import ImageFolder
from latentrl.types import Array


def cut_series(series: Array | ImageFolder, window: int, stride: int, where: str) -> Array:
    """Cut a series into sequences, a view that copies no value of a series of floats.

    Args:
        series: ``(N,)`` or ``(N, D)``, one row per step.
        window: steps of a sequence, ``T``.
        stride: steps from the start of one sequence to that of the next.
        where: the subject of error messages, such as a path.

    Returns:
        ``(M, T, D)`` floats with ``M = (N - T) // stride + 1``; D is 1 for ``(N,)``.

    Raises:
        ValueError: the array is no series, or too short, or a number is not positive.
    """
    if window < 1 or stride < 1:
        raise ValueError(f"window and stride are at least 1, got {window} and {stride}")
    if (
        isinstance(series, ImageFolder)
        or series.ndim not in (1, 2)
        or series.dtype.kind not in "biuf"
    ):
        raise ValueError(
            f"a window cuts one series of numbers, (N,) or (N, D); {where} holds {series.dtype} "
            f"of shape {series.shape}: omit the window"
        )
    rows = series.reshape(len(series), -1)
    if len(rows) < window:
        raise ValueError(
            f"a window of {window} steps is longer than {where}, which has {len(rows)}: choose a "
            "shorter one"
        )
    # Integers would pass for images: uint8 (N, T, D) is what greyscale images are.
    if rows.dtype.kind != "f":
        rows = rows.astype(np.float32 if np.can_cast(rows.dtype, np.float32) else np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(rows, window, axis=0)[::stride]
    sequences: Array = windows.transpose(0, 2, 1)
    return sequences
