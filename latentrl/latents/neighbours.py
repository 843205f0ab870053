"""Distances of observations from references, which are normal ones, and their standard scores."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from latentrl.data.distinct import first_of_equals
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents.features import Features, all_features, features
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array

NEAREST = 3
"""Nearest references whose mean distance counts."""
SURROUNDING = 10
"""Nearest references whose own distances are the local scale."""
MAX_VALUES = 10_000_000
"""Most values of all references together, 40 MB."""
ROWS = 256
"""Vectors whose distances from all references are computed at once."""
LOOKED_AT = 1_000
"""Most references that are searched for small groups."""
GROUP, FAR, TWICE = 0.02, 6.0, math.log(2)
"""Fraction of the references that a small group has at most, and how far its nearest references
outside are at least: in standard deviations of the logarithm of this distance, and in itself."""
TINY = 1e-3
"""Distance that is added to all, in units of the median distance between references."""
LATENTS = 0.5
"""Standard deviation of the latents beside inputs of 1."""
WEIGHTS = np.array([2, 1, 1, 4])
"""Weights of the standard scores of distance, relative distance, reconstruction and largest error.
Those of vectors and sequences, which have all four, weigh a single wrong value as much as all
others together, because the distances hardly show one among many."""
SMALLEST = 0.1
"""Least root mean square of a value's error, in units of the median one: errors of a value that is
always reconstructed are rounding."""
LEVELS = (0.05, 0.5, 0.95)
"""Quantiles that give the scale of a term, which a few outliers do not change."""
BETWEEN = 3.29
"""Standard deviations between the outer two, of a normal distribution."""


@dataclass(frozen=True)
class References:
    """Normal observations that others are compared with, and the scales of the terms of a score.

    The terms are the logarithm of the distance from the nearest references (Ramaswamy et al. 2000),
    the same relative to the distances of these references from one another, as in the local outlier
    factor (Breunig et al. 2000), the negative log-likelihood of the reconstruction, and, of vectors
    and sequences, the logarithm of the largest error of a value, each in units of the root mean
    square of this value's errors. Distances are Euclidean, of inputs and latents side by side,
    scaled to standard deviations of 1 and 0.5.
    """

    vectors: Array
    """Scaled inputs and latents of the references, float32 ``(N, width)``, all different."""
    scales: Array
    """Divisors of the inputs and of the latents, float64 ``(2,)``."""
    typical: Array
    """Root mean square of the error of each value, float64 ``(values,)``; empty without errors."""
    own: Array
    """Logarithm of each reference's distance from its nearest others, float64 ``(N,)``."""
    tiny: float
    """Distance that is added to all, so that their logarithms are finite."""
    centre: Array
    """Median of each term over normal observations, float64 ``(terms,)``."""
    width: Array
    """Standard deviation of each term over them, float64 ``(terms,)``."""

    @classmethod
    def fit(
        cls, model: Autoencoder, training: Frames, held_out: Frames, limit: int, seed: int
    ) -> References:
        """Take references from both, and the scales of the terms.

        Args:
            model: the model, trained on ``training`` or on similar observations.
            training: normal observations.
            held_out: normal observations that the model was not trained on, which give the scale
                of its reconstruction.
            limit: most references: a random sample of more.
            seed: seed of the sample.

        Raises:
            ValueError: fewer than 3 observations differ.

        Warns:
            UserWarning: a few of them form a group of their own, far from all others.
        """
        limit = min(limit, MAX_VALUES // _width(model, held_out))
        held_out = _sample(held_out, max(1, limit // 2), seed)
        training = _sample(training, max(1, limit - len(held_out)), seed)
        held, seen = (all_features(model, sample) for sample in (held_out, training))
        inputs = np.concatenate([held.inputs, seen.inputs])
        latents = np.concatenate([held.latents, seen.latents])
        scales = np.array([_deviation(inputs), _deviation(latents) / LATENTS])
        # Equal references would have a distance of 0 from one another, and no local scale. Features
        # of equal observations differ by rounding, in batches of another size or on a GPU.
        batches = itertools.chain(held_out.batches(), training.batches())
        first = first_of_equals(itertools.chain.from_iterable(batches))
        vectors = np.unique(_joined(inputs[first], latents[first], scales), axis=0)
        if len(vectors) < 3:
            raise ValueError(
                f"expected at least 3 normal observations that differ, got {len(vectors)} among "
                f"{len(inputs)}: give more of them"
            )
        # Each one is left out of its own neighbours, as a new observation is none of them.
        distances, surrounding = nearest(vectors, vectors, itself=True)
        tiny = TINY * float(np.median(distances))
        own = np.log(distances + tiny)
        typical = _typical_errors(held.errors)
        terms = [own, own - own[surrounding].mean(1), *_of_reconstruction(held, typical)]
        low, centre, high = np.array([np.quantile(term, LEVELS) for term in terms]).T
        width = np.where(high > low, (high - low) / BETWEEN, 1.0)
        # Without latents, which a small model cuts where the data have no gap.
        _warn_of_groups(vectors[:, : inputs.shape[1]], own, high[0])
        return cls(vectors, scales, typical, own, tiny, centre, width)

    def terms(self, observed: Features) -> Array:
        """Terms of observations with these features, float64 ``(B, terms)``."""
        vectors = _joined(observed.inputs, observed.latents, self.scales)
        distances, surrounding = nearest(vectors, self.vectors)
        distance = np.log(distances + self.tiny)
        relative = distance - self.own[surrounding].mean(1)
        return np.stack([distance, relative, *_of_reconstruction(observed, self.typical)], 1)

    def score(self, model: Autoencoder, batch: Array) -> Array:
        """Weighted sum of the standard scores of the terms, float64 ``(B,)``."""
        standard = (self.terms(features(model, batch)) - self.centre) / self.width
        scores: Array = standard @ WEIGHTS[: len(self.centre)]
        return scores


def _typical_errors(errors: Array | None) -> Array:
    if errors is None:
        return np.empty(0)
    squares = np.sqrt(np.square(errors).mean(0))
    typical: Array = np.maximum(squares, SMALLEST * np.median(squares)) + np.finfo(np.float32).eps
    return typical


def _of_reconstruction(observed: Features, typical: Array) -> list[Array]:
    """Terms of the reconstruction, none to two of ``(B,)``."""
    terms = [] if observed.nll is None else [observed.nll]
    if observed.errors is not None:
        # Added, so that the logarithm of a perfect reconstruction is finite.
        terms.append(np.log((observed.errors / typical).max(1) + TINY))
    return terms


def nearest(vectors: Array, references: Array, itself: bool = False) -> tuple[Array, Array]:
    """Search the nearest references by Euclidean distance.

    Args:
        vectors: ``(B, width)``.
        references: ``(N, width)``, at least two.
        itself: whether the vectors are the references, each of which is then left out of its own
            neighbours.

    Returns:
        Mean distance of the ``NEAREST`` ones, float64 ``(B,)``, and positions of the
        ``SURROUNDING`` ones, int64 ``(B, SURROUNDING)``; of all where there are fewer.
    """
    found = min(SURROUNDING, len(references) - itself)
    means = np.empty(len(vectors))
    positions = np.empty((len(vectors), found), np.int64)
    for start, squared in _squared_distances(vectors, references):
        if itself:
            squared[np.arange(len(squared)), start + np.arange(len(squared))] = np.inf
        at = np.argpartition(squared, found - 1, axis=1)[:, :found]
        distances = np.sqrt(np.maximum(np.take_along_axis(squared, at, 1), 0))
        means[start : start + ROWS] = np.sort(distances, axis=1)[:, :NEAREST].mean(1)
        positions[start : start + ROWS] = at
    return means, positions


def _squared_distances(vectors: Array, references: Array) -> Iterator[tuple[int, Array]]:
    """Yield blocks ``(rows, N)`` of squared distances with the position of their first row."""
    # float64: near vectors would cancel to noise in a^2 - 2ab + b^2, which is one matrix product.
    columns = references.astype(np.float64)
    squares = np.square(columns).sum(1)
    for start in range(0, len(vectors), ROWS):
        block = vectors[start : start + ROWS].astype(np.float64)
        yield start, np.square(block).sum(1)[:, None] - 2 * block @ columns.T + squares


def _warn_of_groups(vectors: Array, own: Array, usual: float) -> None:
    """Warn of references whose nearest ones are as near as usual, and those after them far."""
    reach = math.ceil(GROUP * len(vectors))
    if reach <= SURROUNDING:
        return
    some = evenly_spaced(len(vectors), LOOKED_AT)
    blocks = _squared_distances(vectors[some], vectors)
    beyond = [np.partition(squared, reach, axis=1)[:, reach] for _, squared in blocks]
    outside = np.log(np.maximum(np.concatenate(beyond), np.finfo(float).tiny)) / 2
    low, centre, high = np.quantile(outside, LEVELS)
    far = outside - centre > max(FAR * (high - low) / BETWEEN, TWICE)
    alone = far & (own[some] <= usual)
    if alone.sum() >= NEAREST:
        warnings.warn(
            "a few of the normal observations form small groups far from all others, and what is "
            "like them will count as normal: if they are anomalies, drop them",
            stacklevel=4,
        )


def _width(model: Autoencoder, frames: Frames) -> int:
    one = features(model, frames[:1])
    return int(one.inputs.shape[1] + one.latents.shape[1])


def _sample(frames: Frames, count: int, seed: int) -> Frames:
    drawn = np.random.default_rng(seed).permutation(len(frames))[:count]
    return frames.subset(np.sort(drawn))


def _deviation(rows: Array) -> float:
    return float(np.sqrt(rows.var(0).sum())) or 1.0


def _joined(inputs: Array, latents: Array, scales: Array) -> Array:
    return np.concatenate([inputs / scales[0], latents / scales[1]], 1).astype(np.float32)
