"""Details that a reconstruction has lost: spots that stand out from their surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW_FRACTION = 0.1
"""Side of a detail as a fraction of the image's shorter side."""
BLUR = 3
"""Side in pixels of the mean filter in front: single pixels of a texture are no details."""
FAINT = (0.01, 0.06)
"""Least and largest root mean squared contrast, in scaled units, that hardly counts as a detail."""
OF_STRONGEST, OF_MEDIAN = 0.5, 4.0
"""Contrast between these two that hardly counts, in those of an image's strongest and median
window: where all details are small, small ones count, but noise does not."""


@dataclass(frozen=True)
class LostDetails:
    """The detail of each image that is lost most."""

    fraction: Tensor
    """Lost fraction of its contrast, ``(B,)``: 0 in a perfect reconstruction, 1 without it."""
    error: Tensor
    """Mean squared error in its window, in scaled units, summed over channels, ``(B,)``; at most
    its contrast."""
    corner: Tensor
    """Row and column of the first pixel of its window, ``(B, 2)``."""


def window_side(height: int, width: int) -> int:
    """Return the side in pixels of the windows that details are looked for in."""
    return max(2, round(WINDOW_FRACTION * min(height, width)))


def lost_details(x: Tensor, restored: Tensor) -> LostDetails:
    """Return the detail of each image that its reconstruction has lost most.

    The contrast of a window is its mean squared difference from the mean of the window three times
    as large around it. The lost fraction is the squared error over this contrast, at most 1: a
    blurred edge keeps most of its contrast, an object that is painted over none. What is only in
    the reconstruction is no lost detail. The window that has lost the largest product of contrast
    and its fraction is the detail.

    Args:
        x: images ``(B, C, H, W)`` with values in [0, 1], or their differences from the mean
            image of many, in which a texture that never changes hides nothing.
        restored: their reconstructions, or the differences from the mean of those.
    """
    side = window_side(*x.shape[2:])
    contrast = _contrast(_blurred(x), side)
    error = _mean(_blurred(restored - x).square().sum(1, keepdim=True), side)
    lost = torch.minimum(error, contrast)
    # The constant keeps noise, which no reconstruction has, from counting as a lost detail.
    fraction = lost / (contrast + _faint(contrast, x.shape[1]))
    worst = (lost * fraction).flatten(1).argmax(1, keepdim=True)
    columns = error.shape[3]
    return LostDetails(
        fraction.flatten(1).gather(1, worst).squeeze(1),
        lost.flatten(1).gather(1, worst).squeeze(1),
        torch.cat([worst // columns, worst % columns], 1),
    )


def _faint(contrast: Tensor, channels: int) -> Tensor:
    """Return the contrast that hardly counts in each image, summed over channels."""
    rms = (contrast.flatten(1).clamp(min=0) / channels).sqrt()
    strongest, median = rms.amax(1), rms.median(1)[0]
    faint = torch.maximum(OF_STRONGEST * strongest, OF_MEDIAN * median).clamp(*FAINT)
    return channels * faint.square().view(-1, 1, 1, 1)


def _contrast(x: Tensor, side: int) -> Tensor:
    """Return the contrast of each window, ``(B, 1, H - side + 1, W - side + 1)``."""
    around = _mean(F.pad(x, (side,) * 4, mode="replicate"), 3 * side)
    # The mean of (x - around)^2 over the window, where around differs between windows alone.
    squares = _mean(x.square(), side) - 2 * around * _mean(x, side) + around.square()
    return squares.sum(1, keepdim=True)


def _blurred(x: Tensor) -> Tensor:
    return _mean(F.pad(x, (BLUR // 2,) * 4, mode="replicate"), BLUR)


def _mean(x: Tensor, side: int) -> Tensor:
    # Rows and then columns: the cost grows with the side, not with its square.
    return F.avg_pool2d(F.avg_pool2d(x, (side, 1), 1), (1, side), 1)
