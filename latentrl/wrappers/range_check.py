"""Whether frames stay in the range of values by which an encoder scales them."""

from __future__ import annotations

import itertools
import warnings

from latentrl.models.channels import channel_beyond
from latentrl.models.vectors import Preprocessor
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
        preprocess = getattr(encoder, "preprocess", None)
        self._range = preprocess.own_range if isinstance(preprocess, Preprocessor) else None
        self._calls = itertools.count()

    def __call__(self, frames: Array) -> None:
        """Compare frames ``(B, H, W[, C])``, on each sixteenth call."""
        if self._range is None or next(self._calls) % EVERY:
            return
        channel = channel_beyond(frames, self._range, BEYOND)
        if channel is not None:
            low, high = self._range
            values = frames.reshape(-1, len(low))[:, channel]
            self._range = None
            warnings.warn(
                f"frames have values from {values.min():g} to {values.max():g}, and are scaled by "
                f"the range {low[channel]:g} to {high[channel]:g} of the frames before training: "
                "what lies far outside is not encoded well. Pretrain on frames that show it",
                UserWarning,
                stacklevel=4,
            )
