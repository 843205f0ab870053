"""Distances of observations from references, which are normal ones, and their standard scores."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from latentrl.data.distinct import first_of_equals
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.arrays import map_chunks
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import batches
from latentrl.types import Array

NEAREST = 3
"""Nearest references whose mean distance counts."""
SURROUNDING = 10
"""Nearest references whose own distances are the local scale."""
SIDE = 10
"""Most rows and columns of an image that distances are computed from."""
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
WEIGHTS = np.array([2, 1, 1])
"""Weights of the standard scores of distance, relative distance and reconstruction."""
LEVELS = (0.05, 0.5, 0.95)
"""Quantiles that give the scale of a term, which a few outliers do not change."""
BETWEEN = 3.29
"""Standard deviations between the outer two, of a normal distribution."""


def features(model: Autoencoder, batch: Array) -> tuple[Array, Array, Array | None]:
    """Return what a detector compares: coarse inputs, latents and negative log-likelihoods.

    Images are averaged to at most 10 x 10 pixels: distances then change little with a shift by a
    pixel, and references stay small.

    Args:
        model: the model, with or without a decoder.
        batch: checked observations ``(B, *observation_shape)``.

    Returns:
        float64 ``(B, inputs)`` and ``(B, latent_dim)``, and -log p(x | z) in nats, ``(B,)``, or
        None where the model has no likelihood of the observation's values.
    """
    reconstructs = model.decoder is not None and model.has_pixel_likelihood

    def compute(observations: Tensor) -> Tensor:
        x = model.preprocess(observations)
        z = model.head(model.encoder(x)).mean
        values = [_coarse(x).flatten(1).double(), z.double()]
        if reconstructs:
            nll = -model.likelihood.log_prob(model.require_decoder()(z).float(), x)
            values.append(nll.double().flatten(1).sum(1, keepdim=True))
        return torch.cat(values, 1)

    model.eval()
    with torch.inference_mode():
        rows = map_chunks(compute, batch, model.observation_space.shape, model.device)
    columns = rows.shape[1] - reconstructs
    inputs, latents = np.split(rows[:, :columns], [columns - model.latent_dim], axis=1)
    return inputs, latents, rows[:, -1] if reconstructs else None


def _coarse(x: Tensor) -> Tensor:
    if x.ndim < 4:
        return x
    return F.adaptive_avg_pool2d(x.float(), (min(SIDE, x.shape[2]), min(SIDE, x.shape[3])))


@dataclass(frozen=True)
class References:
    """Normal observations that others are compared with, and the scales of the terms of a score.

    The terms are the logarithm of the distance from the nearest references (Ramaswamy et al. 2000),
    the same relative to the distances of these references from one another, as in the local outlier
    factor (Breunig et al. 2000), and the negative log-likelihood of the reconstruction. Distances
    are Euclidean, of inputs and latents side by side, scaled to standard deviations of 1 and 0.5.
    """

    vectors: Array
    """Scaled inputs and latents of the references, float32 ``(N, width)``, all different."""
    scales: Array
    """Divisors of the inputs and of the latents, float64 ``(2,)``."""
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
        inputs, latents = (np.concatenate(parts) for parts in zip(held[:2], seen[:2], strict=True))
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
        terms = [own, own - own[surrounding].mean(1)] + ([] if held[2] is None else [held[2]])
        low, centre, high = np.array([np.quantile(term, LEVELS) for term in terms]).T
        width = np.where(high > low, (high - low) / BETWEEN, 1.0)
        # Without latents, which a small model cuts where the data have no gap.
        _warn_of_groups(vectors[:, : inputs.shape[1]], own, high[0])
        return cls(vectors, scales, own, tiny, centre, width)

    def terms(self, inputs: Array, latents: Array, nll: Array | None) -> Array:
        """Terms of observations with these ``features``, float64 ``(B, terms)``."""
        distances, surrounding = nearest(_joined(inputs, latents, self.scales), self.vectors)
        distance = np.log(distances + self.tiny)
        relative = distance - self.own[surrounding].mean(1)
        terms = [distance, relative] if nll is None else [distance, relative, nll]
        return np.stack(terms, 1)

    def score(self, model: Autoencoder, batch: Array) -> Array:
        """Weighted sum of the standard scores of the terms, float64 ``(B,)``."""
        standard = (self.terms(*features(model, batch)) - self.centre) / self.width
        scores: Array = standard @ WEIGHTS[: len(self.centre)]
        return scores


def all_features(model: Autoencoder, frames: Frames) -> tuple[Array, Array, Array | None]:
    """``features`` of all ``frames``."""
    inputs, latents, nlls = zip(*(features(model, b) for b in batches(model, frames)), strict=True)
    nll = None if nlls[0] is None else np.concatenate(nlls)
    return np.concatenate(inputs), np.concatenate(latents), nll


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
    inputs, latents, _ = features(model, frames[:1])
    return int(inputs.shape[1] + latents.shape[1])


def _sample(frames: Frames, count: int, seed: int) -> Frames:
    drawn = np.random.default_rng(seed).permutation(len(frames))[:count]
    return frames.subset(np.sort(drawn))


def _deviation(rows: Array) -> float:
    return float(np.sqrt(rows.var(0).sum())) or 1.0


def _joined(inputs: Array, latents: Array, scales: Array) -> Array:
    return np.concatenate([inputs / scales[0], latents / scales[1]], 1).astype(np.float32)
