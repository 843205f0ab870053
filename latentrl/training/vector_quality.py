"""What the latents of a model keep of each value of held-out vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.stored import frames_of
from latentrl.training.quality import SAMPLE
from latentrl.types import Array, describe_space

LEAST_KEPT = 0.5
"""Least explained variance of every value of a good encoder."""

CONSTANT = 1e-6
"""Standard deviation of a constant value at most, as a fraction of its mean."""


@dataclass(frozen=True)
class VectorQuality:
    """How much of each value of a vector the latents keep."""

    explained: Sequence[float]
    """Explained variance of each value: R2 about its mean, at most 1; 1 where it is constant."""

    def problems(self) -> list[str]:
        """Return which value is lost most, as one clause; empty for a good encoder."""
        worst = int(np.argmin(self.explained))
        if self.explained[worst] >= LEAST_KEPT:
            return []
        kept, least = (
            f"{100 * part:.0f} %" for part in (max(self.explained[worst], 0), LEAST_KEPT)
        )
        return [f"{kept} of the variance of value {worst} is kept (at least {least})"]


def vector_quality(model: Autoencoder, frames: Frames | Array) -> VectorQuality:
    """Return how much of each value of held-out vectors a model's latents keep.

    Args:
        model: a fitted model of vectors with a decoder.
        frames: held-out vectors ``(D,)``; at most 1,000 evenly spaced ones are used.

    Raises:
        TypeError: the model has no decoder.
        ValueError: the observations are not vectors, or of another space than the model's.
    """
    model.require_decoder()
    if len(model.observation_space.shape) != 1:
        raise ValueError(
            "vector_quality compares the values of vectors (D,); these observations are "
            f"{describe_space(model.observation_space)}: use latentrl.quality for images"
        )
    frames = frames_of(model, frames)
    vectors = frames[evenly_spaced(len(frames), SAMPLE)]
    x = vectors.astype(np.float64)
    error, variance = np.square(model.reconstruct(vectors) - x).mean(0), x.var(0)
    # The variance of a constant is not 0 where its mean is rounded.
    varies = np.sqrt(variance) > CONSTANT * np.abs(x.mean(0))
    lost = np.divide(error, variance, out=np.zeros_like(error), where=varies)
    return VectorQuality(tuple((1 - lost).tolist()))
