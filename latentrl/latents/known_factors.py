"""How the latents of a model represent the known factors of its frames, cheaply enough to watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents.disentanglement import MINIMUM_ROWS, disentanglement_scores
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.probe import linear_probe, training_rows
from latentrl.types import Array

SAMPLE = 1_000
"""Most held-out frames that are encoded, evenly spaced."""
PROBED = 4_000
"""Most frames that train a probe, evenly spaced."""
BATCH = 256
"""Frames that are read at once."""
BINS = 10
"""Bins of a factor with more values."""
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties to choose from: a latent may have as many dimensions as there are frames."""
METRICS = ("mig", "modularity")
"""Metrics that take milliseconds."""


@dataclass(frozen=True)
class FactorScores:
    """How latents represent the known factors that vary."""

    probe: Mapping[str, float]
    """R2 of a linear probe by factor, at most 1; below 0 the factor's mean predicts better."""
    disentanglement: Mapping[str, float] = field(default_factory=dict)
    """Scores of ``disentanglement_scores``; none for one factor or one dimension."""


def score_frames(
    model: Autoencoder, frames: Frames, training: Frames | None = None
) -> FactorScores | None:
    """Return the scores of a model on frames with known factors.

    Args:
        model: the model; posterior means are its latents.
        frames: held-out frames, of which at most 1,000 evenly spaced ones are encoded.
        training: other frames, at most 4,000 of which train the probe; None trains it on every
            second episode of ``frames`` and tests it on the others.

    Returns:
        As ``score_latents``; None for frames without known factors.
    """
    if not frames.factors:
        return None
    parts = [frames.subset(evenly_spaced(len(frames), SAMPLE))]
    if training is not None and training.factors:
        parts.append(training.subset(evenly_spaced(len(training), PROBED)))
    trains = np.repeat([False, True][: len(parts)], [len(part) for part in parts])
    return score_latents(
        np.concatenate([model.encode(batch) for part in parts for batch in part.batches(BATCH)]),
        {name: np.concatenate([part.factors[name] for part in parts]) for name in parts[0].factors},
        np.concatenate([part.episodes for part in parts]),
        trains if len(parts) > 1 else None,
    )


def score_latents(
    latents: Array, factors: Mapping[str, Array], groups: Array, training: Array | None = None
) -> FactorScores | None:
    """Return the scores of latents by known factors.

    Factors that are never known, or take one value alone, are left out; so are frames in which one
    of the others is unknown. For the disentanglement scores, a factor of more than 10 values is cut
    into up to 10 bins at its quantiles.

    Args:
        latents: ``(N, latent_dim)``.
        factors: numbers by name, ``(N,)`` each; NaN is unknown.
        groups: number of each row's episode, ``(N,)``, as in ``linear_probe``.
        training: which rows only train the probe, bool ``(N,)``; None for every second episode,
            and disentanglement scores of all rows.

    Returns:
        None where fewer than 100 frames, or of ``training`` and of the others each, or no factor,
        are left: such estimates are mostly bias.
    """
    known = {name: values for name, values in factors.items() if np.isfinite(values).any()}
    rows = np.isfinite([*known.values()]).all(0) if known else np.zeros(len(latents), bool)
    parts = [rows] if training is None else [rows & training, rows & ~training]
    if min(part.sum() for part in parts) < MINIMUM_ROWS:
        return None
    latents, groups = latents[rows], groups[rows]
    trains = training_rows(groups) if training is None else training[rows]
    varied = _varied({name: values[rows] for name, values in known.items()}, trains)
    if not varied:
        return None
    r2 = linear_probe(latents, np.stack([*varied.values()], 1), groups, RIDGES, trains)
    scored = slice(None) if training is None else ~trains
    bins = [binned(values[scored]) for values in varied.values()]
    return FactorScores(
        dict(zip(varied, r2.tolist(), strict=True)), _disentanglement(latents[scored], bins)
    )


def _varied(factors: Mapping[str, Array], training: Array) -> dict[str, Array]:
    """Return the factors that vary both in the frames that train a probe and in the others."""
    return {
        name: values
        for name, values in factors.items()
        if np.ptp(values[training]) > 0 and np.ptp(values[~training]) > 0
    }


def _disentanglement(latents: Array, factors: Sequence[Array]) -> dict[str, float]:
    if len(factors) < 2 or latents.shape[1] < 2:
        return {}
    return disentanglement_scores(latents, np.stack(factors, 1), metrics=METRICS)


def binned(values: Array) -> Array:
    """Return the number of each value's bin, ``(N,)``.

    Args:
        values: numbers ``(N,)``; up to 10 different ones have a bin each, more are cut at their
            quantiles into 10 bins of about as many values. Equal quantiles are one cut, so that
            there are from 2 to 10 bins.
    """
    different, numbers = np.unique(values, return_inverse=True)
    if len(different) > BINS:
        edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
        # No value lies below an edge that equals the smallest one, which gets a bin of its own.
        numbers = np.digitize(values, np.unique(np.maximum(edges, different[1])))
    bins: Array = numbers
    return bins
