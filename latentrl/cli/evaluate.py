"""How good a model is: evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentrl import health
from latentrl.cli.base import VERBS, Figures, Output
from latentrl.cli.data import DataVerb, Labels, map_all, open_data, open_labels, quality
from latentrl.latents.disentanglement import (
    METRICS,
    MINIMUM_ROWS,
    disentanglement_scores,
    mutual_information,
)
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.health import ACTIVE_VARIANCE, Health, latent_order
from latentrl.types import Array
from latentrl.utils.progress import progress_bar
from latentrl.viz.sheets import bars, table

SHOWN_DIMENSIONS, BINS = 16, 20


@VERBS.register("evaluate")
@dataclass(frozen=True, kw_only=True)
class Evaluate(DataVerb):
    """Measure a model: its loss, its reconstructions, its code, and how well the code separates
    known factors.
    """

    labels: Path | None = None
    """File of the factors (N, F); those that come with --data where not given."""
    metrics: tuple[str, ...] = tuple(METRICS)
    """Measures of disentanglement, where there are two factors and a hundred observations; dci
    takes longest."""

    def check(self, model: Autoencoder) -> None:
        """Accept every model, and no unknown metric."""
        for metric in self.metrics:
            METRICS[metric]

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write dimensions.csv, dimensions.png and, of factors, what each metric says."""
        frames = open_data(self.data, model)
        factors = open_labels(self.labels or self.data, frames)
        codes = map_all(frames, "encoding", model.encode)
        state = None if model.decoder is None else health(model, frames)
        kl = np.zeros(model.latent_dim) if state is None else state.kl
        variance = codes.var(0, dtype=np.float64)
        active = variance > ACTIVE_VARIANCE
        rows = zip(range(len(kl)), kl, variance, active.astype(int), strict=True)
        output.table("dimensions.csv", ["dimension", "kl_nats", "variance", "active"], rows)
        output.picture("dimensions.png", lambda: _dimension_picture(model, kl, variance))
        if factors is not None:
            output.picture("factors.png", lambda: _factor_picture(model, codes, factors))
        figures = {"observations": len(frames), **({} if state is None else _health(model, state))}
        return {
            **figures,
            "active units": int(active.sum()),
            **self._disentanglement(codes, factors),
        }

    def _disentanglement(self, codes: Array, factors: Labels | None) -> Figures:
        varying = None if factors is None else _varying(factors)
        if (
            varying is None
            or min(varying.shape[1], codes.shape[1]) < 2
            or len(codes) < MINIMUM_ROWS
        ):
            return {}
        scores: Figures = {}
        with progress_bar(len(self.metrics), 0, "measuring", "metric", True) as bar:
            for metric in self.metrics:
                scores |= disentanglement_scores(codes, varying, self.seed, [metric])
                bar.update(1)
        return scores


def _varying(factors: Labels) -> Labels:
    """Return the factors ``(N, F)`` without those that have one value, as the colour of
    dSprites.
    """
    columns = factors.reshape(len(factors), -1)
    return columns[:, (columns != columns[0]).any(0)]


def _health(model: Autoencoder, state: Health) -> Figures:
    figures: Figures = {"loss, nats": state.loss, "-log p(x | code), nats": state.reconstruction}
    figures |= quality(model, "reconstruction", 10 ** (-state.psnr / 10))
    figures |= {} if state.ssim is None else {"SSIM": state.ssim}
    return figures | ({"KL, nats": float(state.kl.sum())} if model.variational else {})


def _dimension_picture(model: Autoencoder, kl: Array, variance: Array) -> Array:
    what = "KL divergence in nats" if model.variational else "standard deviation"
    values = kl if model.variational else np.sqrt(variance)
    order = np.argsort(-values, kind="stable")
    active = variance[order] > ACTIVE_VARIANCE
    return bars(
        values[order],
        [str(k) for k in order],
        f"{what} of each dimension; active ones in colour",
        active,
    )


def _factor_picture(model: Autoencoder, codes: Array, factors: Labels) -> Array:
    columns = factors.reshape(len(factors), -1)
    order = latent_order(model)[:SHOWN_DIMENSIONS]
    shares = np.array([[_told(codes[:, k], factor) for factor in columns.T] for k in order])
    names = [f"factor {i}" for i in range(columns.shape[1])] if columns.shape[1] > 1 else ["label"]
    return table(
        shares,
        [f"dimension {k}" for k in order],
        names,
        "share of a factor's entropy that a dimension tells",
    )


def _told(code: Array, factor: Array) -> float:
    binned = np.digitize(code, np.linspace(code.min(), code.max(), BINS + 1)[1:-1])
    return mutual_information(binned, factor) / max(mutual_information(factor, factor), 1e-12)
