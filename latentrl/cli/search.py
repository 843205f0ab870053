"""Verb ``search``: find the observations with the nearest latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, open_labels
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents.index import HammingIndex, LatentIndex
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.heads import BinaryPosterior
from latentrl.types import Array
from latentrl.viz.figures import Figure
from latentrl.viz.plots import observation_sheet
from latentrl.viz.sheets import Labels

MEASURED = 1_000
"""Queries over which the fraction of equal labels is averaged."""


@VERBS.register("search")
@dataclass(frozen=True, kw_only=True)
class Search(DataVerb):
    """Find the nearest latents: in Hamming distance of binary codes, else in Euclidean distance."""

    query: Path | None = None
    """Observations to search for. Default: some of --data, each left out of its own results."""
    k: int = 8
    """Number of results for each query."""
    count: int = 8
    """Number of queries."""
    labels: Path | None = None
    """File of the labels of --data. Default: the labels in --data."""
    factor: int | None = None
    """Column of the labels, if they are factors."""

    def check(self, model: Autoencoder) -> None:
        """Accept every model: an encoder is enough."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write neighbours.csv, neighbours.png and latents.npy (of binary models, codes.npy)."""
        at_least(1, count=self.count, k=self.k)
        frames = self.read_complete(self.data, model)
        index = _index(model, frames)
        source = self.read_complete(self.query, model) if self.query else frames
        chosen = evenly_spaced(len(source), self.count)
        queries = source[chosen]
        found = index.search(queries, self.k, exclude=None if self.query else chosen)
        rows = _rows(chosen, *found)
        output.table("neighbours.csv", ["query", "rank", "index", "distance"], rows)
        output.figure("neighbours.png", _neighbour_figure(model, queries, frames, found[0]))
        if isinstance(index, HammingIndex):
            output.array("codes.npy", index.codes)
        else:
            output.array("latents.npy", index.latents)
        return {"distance": index.metric, **self._agreement(frames, index)}

    def _agreement(self, frames: Frames, index: LatentIndex | HammingIndex) -> Metrics:
        labels = open_labels(self.labels or self.data, frames, self.factor)
        if labels is None:
            return {}
        queries = evenly_spaced(len(frames), MEASURED)
        found, _ = index.search(frames[queries], self.k, exclude=queries)
        columns = labels.reshape(len(labels), -1)
        metrics: Metrics = {}
        for number, column in enumerate(columns.T):
            name = "label" if columns.shape[1] == 1 else f"factor {number}"
            same = float((column[found] == column[queries][:, None]).mean())
            metrics |= {f"same {name}, fraction": same, f"same {name}, chance": _chance(column)}
        return metrics


def _chance(labels: Array) -> float:
    """Return the probability that two random observations have the same label."""
    # The sum of squared class fractions: both observations are drawn independently.
    fractions = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.square(fractions).sum())


def _index(model: Autoencoder, frames: Frames) -> LatentIndex | HammingIndex:
    binary = issubclass(model.head.posterior, BinaryPosterior)
    return HammingIndex(model, frames) if binary else LatentIndex(model, frames)


def _rows(chosen: Array, indices: Array, distances: Array) -> Iterator[tuple[int, int, int, str]]:
    for query, row, far in zip(chosen, indices, distances, strict=True):
        for rank, (index, distance) in enumerate(zip(row, far, strict=True), 1):
            yield int(query), rank, int(index), f"{distance:.6g}"


def _neighbour_figure(model: Autoencoder, queries: Array, frames: Frames, indices: Array) -> Figure:
    rows = [
        model.preprocessed(np.concatenate([query[None], frames[row]]))
        for query, row in zip(queries, indices, strict=True)
    ]
    columns = ["query", "nearest", *[""] * (indices.shape[1] - 1)]
    return observation_sheet(model, rows, Labels(columns=columns, breaks=(1,)))
