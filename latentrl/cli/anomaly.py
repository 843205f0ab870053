"""The unusual and the similar: anomaly, search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from latentrl import AnomalyDetector, Frames, HammingIndex, auroc
from latentrl.cli.base import VERBS, Figures, Output, at_least
from latentrl.cli.data import DataVerb, classes, in_batches, map_all, open_data, open_labels, spread
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.heads import BinaryPosterior
from latentrl.models.preprocessing import is_image
from latentrl.types import Array
from latentrl.viz.images import heat, shown
from latentrl.viz.plots import Shade, compared, painter
from latentrl.viz.sheets import sheet

CALIBRATION = 0.2
"""Share of the data that sets the threshold where no normal observations are given."""
HEAT_QUANTILE = 0.998
JUDGED = 1_000
"""Queries over which the share of equal labels is taken."""


@VERBS.register("anomaly")
@dataclass(frozen=True, kw_only=True)
class Anomaly(DataVerb):
    """Find observations that the model did not expect, at a chosen rate of false alarms."""

    normal: Path | None = None
    """Normal observations that the model was not trained on, to set the threshold by; a fifth of
    --data, drawn by --seed and then left out, where not given."""
    false_alarm_rate: float = 0.01
    """Share of normal observations that may raise an alarm."""
    labels: Path | None = None
    """File of labels, to measure by; those that come with --data where not given."""
    anomalous_label: int | None = None
    """Label of the anomalies; of a --labels file every label but 0 where not given."""
    factor: int | None = None
    """Which column of the labels, where they are factors."""
    count: int = 10
    """How many to show, the most unusual first."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write maps.npy and scores.csv, row by row of the same observations, and anomalies.png of
        the worst.
        """
        at_least(1, count=self.count)
        frames = open_data(self.data, model)
        anomalous = self._anomalous(frames)
        normal, judged = self._parts(frames, anomalous, model)
        if self.normal is None:
            output.notes.append(self._fallback(len(normal), anomalous))
        detector = AnomalyDetector(model).calibrate(normal, self.false_alarm_rate)
        scores, steps = _judged(detector, frames.subset(judged), output)
        assert detector.threshold is not None
        alarms = scores > detector.threshold
        columns = {
            "index": judged,
            "score": [f"{score:.6g}" for score in scores],
            "is_anomaly": alarms.astype(int),
        }
        columns |= {} if steps is None else {"worst_step": steps}
        output.table("scores.csv", list(columns), zip(*columns.values(), strict=True))
        worst = np.argsort(-scores, kind="stable")[: self.count]
        most = frames[judged[worst]]
        output.picture("anomalies.png", lambda: _anomaly_picture(detector, most, scores[worst]))
        figures = {
            "threshold, nats": detector.threshold,
            "calibrated on": len(normal),
            "judged": len(judged),
        }
        figures |= {"alarms": int(alarms.sum())}
        return figures | ({} if anomalous is None else _measured(scores, alarms, anomalous[judged]))

    def _fallback(self, count: int, anomalous: Array | None) -> str:
        drawn = f"without --normal, {count:,} observations drawn from --data set the threshold"
        if anomalous is not None:
            return f"{drawn}, all labelled normal"
        return f"{drawn}; anomalies among them raise it, so that fewer are found"

    def _anomalous(self, frames: Frames) -> Array | None:
        if self.labels is None and self.anomalous_label is None:
            return None
        labels = classes(self.labels or self.data, frames, self.factor)
        if labels is None:
            raise ValueError(
                f"{self.labels or self.data} comes without labels, so --anomalous-label has no meaning"
            )
        anomalous: Array = (
            labels != 0 if self.anomalous_label is None else labels == self.anomalous_label
        )
        if anomalous.all() or not anomalous.any():
            raise ValueError(
                f"the labels make {anomalous.sum()} of {len(labels)} observations anomalies: some must be"
            )
        return anomalous

    def _parts(
        self, frames: Frames, anomalous: Array | None, model: Autoencoder
    ) -> tuple[Frames, Array]:
        if self.normal is not None:
            return open_data(self.normal, model), np.arange(len(frames))
        candidates = np.arange(len(frames)) if anomalous is None else np.flatnonzero(~anomalous)
        drawn = np.random.default_rng(self.seed).permutation(candidates)[
            : round(CALIBRATION * len(candidates))
        ]
        return frames.subset(np.sort(drawn)), np.setdiff1d(np.arange(len(frames)), drawn)


def _judged(
    detector: AnomalyDetector, frames: Frames, output: Output
) -> tuple[Array, Array | None]:
    """Write the maps of all ``frames`` and return their scores and, of sequences, their worst
    steps.
    """
    scores, steps = list[Array](), list[Array]()
    one, shape = detector.map(frames[0]), detector.model.observation_space.shape

    def judge(batch: Array) -> Array:
        maps = detector.map(batch)
        scores.append(detector.score(batch))
        steps.append(maps.reshape(len(maps), -1).argmax(1))
        return maps

    space = spaces.Box(-np.inf, np.inf, one.shape, np.float32)
    output.stream("maps.npy", in_batches(frames, "scoring", judge), len(frames), space)
    over_time = len(shape) == 2 and not is_image(detector.model.observation_space)
    return np.concatenate(scores), np.concatenate(steps) if over_time else None


def _measured(scores: Array, alarms: Array, anomalous: Array) -> Figures:
    return {
        "AUROC": auroc(scores, anomalous),
        "false-alarm rate": float(alarms[~anomalous].mean()),
        "share of anomalies found": float(alarms[anomalous].mean()),
    }


def _anomaly_picture(detector: AnomalyDetector, observations: Array, scores: Array) -> Array:
    model = detector.model
    maps = detector.map(observations)
    low, high = (
        float(maps.min()),
        max(float(np.quantile(maps, HEAT_QUANTILE)), float(maps.min()) + 1e-6),
    )
    rows = model.preprocessed(observations), model.reconstruct(observations)
    alarms = scores > detector.threshold
    captions = [
        f"{'alarm, ' if alarm else ''}{score:.1f}"
        for score, alarm in zip(scores, alarms, strict=True)
    ]
    if not is_image(model.observation_space):
        shade = Shade("unexpected", (maps - low) / (high - low))
        return compared(model, ("observed", "decoded"), [rows], columns=captions, shade=shade)
    tiles = [*(shown(model, row) for row in rows), list(heat(maps, high=high))]
    return sheet(tiles, ["observed", "decoded", "unexpected"], captions, fold=True)


@VERBS.register("search")
@dataclass(frozen=True, kw_only=True)
class Search(DataVerb):
    """Find the observations with the nearest codes: by Hamming distance where codes are bits, else
    by Euclidean.
    """

    query: Path | None = None
    """Observations to look for; some of --data where not given, which then do not find
    themselves."""
    k: int = 8
    """How many to find for each."""
    count: int = 8
    """How many queries to take."""
    labels: Path | None = None
    """File of the labels of --data; those that come with it where not given."""
    factor: int | None = None
    """Which column of the labels, where they are factors."""

    def check(self, model: Autoencoder) -> None:
        """Accept every model: a code is enough."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write neighbours.csv and neighbours.png."""
        at_least(1, count=self.count, k=self.k)
        frames = open_data(self.data, model)
        index = NearestCodes(model, frames)
        if self.query is None:
            chosen = spread(frames, self.count)
            queries, found = frames[chosen], index.others(chosen, self.k)
        else:
            asked = open_data(self.query, model)
            chosen = spread(asked, self.count)
            queries, found = asked[chosen], index.search(asked[chosen], self.k)
        output.table(
            "neighbours.csv", ["query", "rank", "index", "distance"], _neighbours(chosen, *found)
        )
        output.picture(
            "neighbours.png", lambda: _neighbour_picture(model, queries, frames, found[0])
        )
        output.array("codes.npy", index.codes)
        return {"distance": index.metric, **self._agreement(frames, index)}

    def _agreement(self, frames: Frames, index: NearestCodes) -> Figures:
        labels = open_labels(self.labels or self.data, frames, self.factor)
        if labels is None:
            return {}
        judged = spread(frames, JUDGED)
        found, _ = index.others(judged, self.k)
        columns = labels.reshape(len(labels), -1)
        figures: Figures = {}
        for number, column in enumerate(columns.T):
            name = "label" if columns.shape[1] == 1 else f"factor {number}"
            same = float((column[found] == column[judged][:, None]).mean())
            figures |= {
                f"neighbours of the same {name}": same,
                f"same {name} by chance": _chance(column),
            }
        return figures


def _chance(labels: Array) -> float:
    return float(np.square(np.unique(labels, return_counts=True)[1] / len(labels)).sum())


class NearestCodes:
    """The codes of observations, searched by the distance that suits them."""

    def __init__(self, model: Autoencoder, frames: Frames) -> None:
        """Encode ``frames``."""
        self.model, self.frames = model, frames
        self.bits = (
            HammingIndex(model, frames)
            if issubclass(model.head.posterior, BinaryPosterior)
            else None
        )
        self.codes: Array = (
            map_all(frames, "encoding", model.encode) if self.bits is None else self.bits.codes
        )
        self.metric = "Euclidean" if self.bits is None else "Hamming"

    def search(self, queries: Array, k: int) -> tuple[Array, Array]:
        """Return the positions and distances of the ``k`` nearest, ``(Q, k)``.

        Raises:
            ValueError: there are fewer than ``k``.
        """
        if self.bits is not None:
            return self.bits.search(queries, k)
        if k > len(self.codes):
            raise ValueError(
                f"k is a number of observations to find, from 1 to the {len(self.codes)} there are; got {k}"
            )
        found = [self._nearest(code, k) for code in self.model.encode(queries)]
        return np.stack([positions for positions, _ in found]), np.stack(
            [distances for _, distances in found]
        )

    def _nearest(self, code: Array, k: int) -> tuple[Array, Array]:
        distances = np.linalg.norm(self.codes - code, axis=1)
        nearest = np.argpartition(distances, k - 1)[:k]
        nearest = nearest[np.lexsort((nearest, distances[nearest]))]
        return nearest, distances[nearest]

    def others(self, chosen: Array, k: int) -> tuple[Array, Array]:
        """Search for observations of the index itself, leaving each of them out of its own
        answer.
        """
        if k >= len(self.frames):
            raise ValueError(
                f"k is a number of others to find, from 1 to {len(self.frames) - 1}; got {k}"
            )
        indices, distances = self.search(self.frames[chosen], k + 1)
        other = indices != chosen[:, None]
        other[other.all(1), -1] = (
            False  # it was not among its nearest: equal codes come first by position
        )
        return indices[other].reshape(-1, k), distances[other].reshape(-1, k)


def _neighbours(
    chosen: Array, indices: Array, distances: Array
) -> Iterator[tuple[int, int, int, str]]:
    for query, row, far in zip(chosen, indices, distances, strict=True):
        for rank, (index, distance) in enumerate(zip(row, far, strict=True), 1):
            yield int(query), rank, int(index), f"{distance:.6g}"


def _neighbour_picture(model: Autoencoder, queries: Array, frames: Frames, indices: Array) -> Array:
    found = [
        model.preprocessed(np.concatenate([query[None], frames[row]]))
        for query, row in zip(queries, indices, strict=True)
    ]
    paint = painter(model, *found)
    columns = ["query", "nearest", *[""] * (indices.shape[1] - 1)]
    return paint.titled(sheet([paint.tiles(row) for row in found], columns=columns, breaks=(1,)))
