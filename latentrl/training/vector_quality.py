"""What the latents of a model keep of each value of held-out vectors or sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.models.stored import frames_of
from latentrl.training.quality import SAMPLE
from latentrl.types import Array, describe_space

LEAST_KEPT = 0.5
"""Least explained variance of every value of a good encoder."""

CONSTANT = 1e-6
"""Standard deviation of a constant value at most, as a fraction of its mean."""


@dataclass(frozen=True)
class VectorQuality:
    """How much of each value of a vector, or of the steps of a sequence, the latents keep."""

    explained: Sequence[float]
    """Explained variance of each value: R2 about its mean, at most 1; 1 where it is constant."""
    columns: Sequence[str] | None = None
    """Names of the values, of a model that was trained on a table."""

    def summary(self) -> list[str]:
        """Return the metrics in one line of text."""
        kept = np.clip(self.explained, 0, 1)
        return [
            f"explained variance: {kept.mean():.0%} in the mean over values, {kept.min():.0%} of "
            f"{self._name(int(np.argmin(self.explained)))}, the least"
        ]

    def _name(self, value: int) -> str:
        return f"value {value}" if self.columns is None else f"column {self.columns[value]!r}"

    def problems(self) -> list[str]:
        """Return which value is lost most, as one clause; empty for a good encoder."""
        worst = int(np.argmin(self.explained))
        if self.explained[worst] >= LEAST_KEPT:
            return []
        kept, least = (
            f"{100 * part:.0f} %" for part in (max(self.explained[worst], 0), LEAST_KEPT)
        )
        return [f"{kept} of the variance of {self._name(worst)} is kept (at least {least})"]


def vector_quality(model: Autoencoder, frames: Frames | Array) -> VectorQuality:
    """Return how much of each value of held-out vectors or sequences a model's latents keep.

    Args:
        model: a fitted model of vectors or sequences with a decoder.
        frames: held-out vectors ``(D,)`` or sequences ``(T, D)``; at most 1,000 evenly spaced ones
            are used.

    Raises:
        TypeError: the model has no decoder.
        ValueError: the observations are images, or of another space than the model's.
    """
    model.require_decoder()
    if is_image(model.observation_space):
        raise ValueError(
            "vector_quality compares the values of vectors (D,) or sequences (T, D); these "
            f"observations are {describe_space(model.observation_space)}: use latentrl.quality for "
            "images"
        )
    frames = frames_of(model, frames)
    sample = frames[evenly_spaced(len(frames), SAMPLE)]
    width = sample.shape[-1]
    x = sample.astype(np.float64).reshape(-1, width)
    error = np.square(model.reconstruct(sample).reshape(-1, width) - x).mean(0)
    variance = x.var(0)
    # The variance of a constant is not 0 where its mean is rounded.
    varies = np.sqrt(variance) > CONSTANT * np.abs(x.mean(0))
    lost = np.divide(error, variance, out=np.zeros_like(error), where=varies)
    return VectorQuality(tuple((1 - lost).tolist()), model.columns)
