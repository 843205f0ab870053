"""Images whose channels come first, as PyTorch has them; models take them last."""

from __future__ import annotations

MIN_SIDE = 8
"""Fewest pixels a side of an image."""
MAX_CHANNELS_FIRST = 12
"""Most rows of an array that may be the channels of an image, ``(C, H, W)``, and not its height."""
COLOURS = (1, 3, 4)
"""Channels of grey, colour and transparent images; 4 grey frames that are stacked, too."""


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether observations of ``shape`` are images ``(C, H, W)``.

    They have few rows for an ``(H, W, C)``, or a square behind the first axis.
    """
    if len(shape) != 3 or min(shape[1:]) < MIN_SIDE:
        return False
    few = shape[0] < MIN_SIDE or shape[0] <= MAX_CHANNELS_FIRST < shape[2]
    square = shape[0] != shape[1] == shape[2] > MAX_CHANNELS_FIRST
    return few or square


def is_surely_channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether ``shape`` is no ``(H, W, C)`` of many channels, such as planes of a board."""
    if not is_channels_first(shape):
        return False
    return shape[0] in COLOURS or shape[0] <= MAX_CHANNELS_FIRST < min(shape[1:])


def refuse_channels_first(shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` for observations of a shape ``(C, H, W)``."""
    if is_channels_first(shape):
        raise ValueError(
            f"images of shape {shape} look channels-first; latentrl takes (H, W, C): transpose the "
            "observations, by gymnasium.wrappers.TransformObservation and numpy.moveaxis(x, -3, -1)"
        )
