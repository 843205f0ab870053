"""Whether frames stay in the range of values by which an encoder scales them."""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from latentrl.models.channels import Bounds
from latentrl.models.preprocessing import ImagePreprocessor
from latentrl.types import Array, Encoder

EVERY = 16
"""Calls between two that are compared."""
BEYOND = 0.5
"""Part of the range's width by which a value is outside of it."""


class RangeCheck:
    """Warns once of frames far outside the range of the pretraining's frames.

    An encoder has such a range where those frames used a small part of the declared one, as in a
    dark room. The latents of a frame with a lamp would lie far from all that it was trained on.
    """

    def __init__(self, encoder: Encoder) -> None:
        """Watch the frames of ``encoder``, if it has a range of its own."""
        self._range = _own_range(encoder)
        self._calls = itertools.count()

    def __call__(self, frames: Array) -> None:
        """Compare frames ``(B, H, W[, C])``, on each sixteenth call."""
        if self._range is None or next(self._calls) % EVERY:
            return
        low, high = self._range
        pixels = frames.reshape(len(frames), -1, len(low))
        margin = BEYOND * (high - low)
        below, above = pixels.min((0, 1)) < low - margin, pixels.max((0, 1)) > high + margin
        if (below | above).any():
            channel = int((below | above).argmax())
            values = pixels[..., channel]
            self._range = None
            warnings.warn(
                f"frames have values from {values.min():g} to {values.max():g}, and are scaled by "
                f"the range {low[channel]:g} to {high[channel]:g} of the frames before training: "
                "what lies far outside is not encoded well. Pretrain on frames that show it",
                UserWarning,
                stacklevel=4,
            )


def _own_range(encoder: Encoder) -> Bounds | None:
    preprocess = getattr(encoder, "preprocess", None)
    if not isinstance(preprocess, ImagePreprocessor):
        return None
    low, high = (bound.cpu().double().numpy() for bound in (preprocess.low, preprocess.high))
    declared = np.asarray(preprocess.declared)
    return None if np.allclose(declared, [low, high], rtol=1e-6) else (low, high)
