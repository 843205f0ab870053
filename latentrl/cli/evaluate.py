"""Verb ``evaluate``: metrics of a model on data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentrl.cli.base import VERBS, Metrics, Output
from latentrl.cli.data import (
    DataVerb,
    Labels,
    map_all,
    open_labels,
    reconstruction_metrics,
)
from latentrl.latents.disentanglement import (
    METRICS,
    MINIMUM_ROWS,
    disentanglement_scores,
    mutual_information,
)
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.health import ACTIVE_VARIANCE, Health, health, latent_order
from latentrl.types import Array
from latentrl.utils.progress import progress_bar
from latentrl.viz.figures import Figure, bars, table

DIMENSIONS, BINS = 16, 20
"""Dimensions in the table of factors, and bins of a dimension there."""


@VERBS.register("evaluate")
@dataclass(frozen=True, kw_only=True)
class Evaluate(DataVerb):
    """Measure the loss, reconstruction, latents and, with known factors, the disentanglement."""

    labels: Path | None = None
    """File of the factors (N, F). Default: the labels in --data."""
    metrics: tuple[str, ...] = tuple(METRICS)
    """Disentanglement metrics, for two factors and 100 observations or more; dci takes longest."""

    def check(self, model: Autoencoder) -> None:
        """Accept every model; raise ``ValueError`` for an unknown metric."""
        for metric in self.metrics:
            METRICS[metric]

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write dimensions.csv, dimensions.png and, with labels, factors.png."""
        frames = self.read_complete(self.data, model)
        factors = open_labels(self.labels or self.data, frames)
        latents = map_all(frames, "encoding", model.encode)
        state = None if model.decoder is None else health(model, frames)
        kl = np.zeros(model.latent_dim) if state is None else state.kl
        # The variance of the posterior mean is the criterion of an active unit (Burda et al. 2016):
        # a KL above zero alone may come from a posterior that is constant over the data.
        variance = latents.var(0, dtype=np.float64)
        active = variance > ACTIVE_VARIANCE
        rows = zip(range(len(kl)), kl, variance, active.astype(int), strict=True)
        output.table("dimensions.csv", ["dimension", "kl_nats", "variance", "active"], rows)
        output.figure("dimensions.png", _dimension_figure(model, kl, variance))
        if factors is not None:
            output.figure("factors.png", _factor_figure(model, latents, factors))
        return {
            "observations": len(frames),
            **({} if state is None else _loss_metrics(model, state)),
            "active units": int(active.sum()),
            **self._disentanglement(latents, factors),
        }

    def _disentanglement(self, latents: Array, factors: Labels | None) -> Metrics:
        varying = None if factors is None else _varying(factors)
        if varying is None or min(varying.shape[1], latents.shape[1]) < 2:
            return {}
        if len(latents) < MINIMUM_ROWS:
            return {}
        scores: Metrics = {}
        with progress_bar(len(self.metrics), 0, "measuring", "metric", True) as bar:
            for metric in self.metrics:
                scores |= disentanglement_scores(latents, varying, self.seed, [metric])
                bar.update(1)
        return scores


def _varying(factors: Labels) -> Labels:
    """Return the factors ``(N, F)`` without constant ones, such as the colour of dSprites."""
    columns = factors.reshape(len(factors), -1)
    return columns[:, (columns != columns[0]).any(0)]


def _loss_metrics(model: Autoencoder, state: Health) -> Metrics:
    kl = {"KL, nats": float(state.kl.sum())} if model.variational else {}
    return {"loss, nats": state.loss, **reconstruction_metrics(model, state), **kl}


def _dimension_figure(model: Autoencoder, kl: Array, variance: Array) -> Figure:
    values = kl if model.variational else np.sqrt(variance)
    name, unit = ("KL divergence", ", nats") if model.variational else ("standard deviation", "")
    order = np.argsort(-values, kind="stable")
    active = variance[order] > ACTIVE_VARIANCE
    title = f"{name} of each dimension"
    return bars(values[order], [str(k) for k in order], active, title, name + unit)


def _factor_figure(model: Autoencoder, latents: Array, factors: Labels) -> Figure:
    columns = factors.reshape(len(factors), -1)
    order = latent_order(model)[:DIMENSIONS]
    fractions = [[_explained(latents[:, k], factor) for factor in columns.T] for k in order]
    names = [f"factor {i}" for i in range(columns.shape[1])] if columns.shape[1] > 1 else ["label"]
    rows = [f"dimension {k}" for k in order]
    title = "mutual information with a factor / entropy of the factor"
    return table(np.array(fractions), rows, names, title)


def _explained(values: Array, factor: Array) -> float:
    """Return the fraction of a factor's entropy that one dimension explains, in [0, 1]."""
    edges = np.linspace(values.min(), values.max(), BINS + 1)[1:-1]
    information = mutual_information(np.digitize(values, edges), factor)
    # The mutual information of a variable with itself is its entropy.
    return information / max(mutual_information(factor, factor), 1e-12)
