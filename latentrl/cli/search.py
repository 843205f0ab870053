"""Verb ``search``: find the observations with the nearest latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, map_all, open_data, open_labels
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents.index import CodeIndex
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.heads import BinaryPosterior
from latentrl.types import Array
from latentrl.viz.figures import Figure, Labels
from latentrl.viz.plots import observation_sheet

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
        frames = open_data(self.data, model)
        index = Neighbours(model, frames)
        source = open_data(self.query, model) if self.query else frames
        chosen = evenly_spaced(len(source), self.count)
        queries = source[chosen]
        found = index.search(queries, self.k) if self.query else index.others(chosen, self.k)
        rows = _rows(chosen, *found)
        output.table("neighbours.csv", ["query", "rank", "index", "distance"], rows)
        output.figure("neighbours.png", _neighbour_figure(model, queries, frames, found[0]))
        output.array("codes.npy" if index.binary else "latents.npy", index.latents)
        distance = "Hamming" if index.binary else "Euclidean"
        return {"distance": distance, **self._agreement(frames, index)}

    def _agreement(self, frames: Frames, index: Neighbours) -> Metrics:
        labels = open_labels(self.labels or self.data, frames, self.factor)
        if labels is None:
            return {}
        queries = evenly_spaced(len(frames), MEASURED)
        found, _ = index.others(queries, self.k)
        columns = labels.reshape(len(labels), -1)
        metrics: Metrics = {}
        for number, column in enumerate(columns.T):
            name = "label" if columns.shape[1] == 1 else f"factor {number}"
            same = float((column[found] == column[queries][:, None]).mean())
            metrics |= {f"same {name}, fraction": same, f"same {name}, chance": _chance(column)}
        return metrics


def _chance(labels: Array) -> float:
    """Return the probability that two random observations have the same label."""
    fractions = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.square(fractions).sum())


class Neighbours:
    """Nearest neighbours of latents, by the distance that suits them."""

    def __init__(self, model: Autoencoder, frames: Frames) -> None:
        """Encode ``frames``."""
        self.model, self.frames = model, frames
        self.binary = issubclass(model.head.posterior, BinaryPosterior)
        self._codes = CodeIndex(model, frames) if self.binary else None
        self.latents: Array = (
            map_all(frames, "encoding", model.encode) if self._codes is None else self._codes.codes
        )

    def search(self, queries: Array, k: int) -> tuple[Array, Array]:
        """Return the positions and distances of the ``k`` nearest, ``(Q, k)``.

        Raises:
            ValueError: there are fewer than ``k``.
        """
        if self._codes is not None:
            return self._codes.search(queries, k)
        if k > len(self.latents):
            raise ValueError(
                f"k is a number of observations to find, from 1 to the {len(self.latents)} "
                f"there are; got {k}"
            )
        found = [self._nearest(latent, k) for latent in self.model.encode(queries)]
        indices, distances = zip(*found, strict=True)
        return np.stack(indices), np.stack(distances)

    def _nearest(self, latent: Array, k: int) -> tuple[Array, Array]:
        distances = np.linalg.norm(self.latents - latent, axis=1)
        nearest = np.argpartition(distances, k - 1)[:k]
        nearest = nearest[np.lexsort((nearest, distances[nearest]))]
        return nearest, distances[nearest]

    def others(self, chosen: Array, k: int) -> tuple[Array, Array]:
        """Search for frames of the index itself, each left out of its own results."""
        if k >= len(self.frames):
            raise ValueError(
                f"k is a number of others to find, from 1 to {len(self.frames) - 1}; got {k}"
            )
        indices, distances = self.search(self.frames[chosen], k + 1)
        other = indices != chosen[:, None]
        # With many equal latents a query may be missing from its own results.
        other[other.all(1), -1] = False
        return indices[other].reshape(-1, k), distances[other].reshape(-1, k)


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
