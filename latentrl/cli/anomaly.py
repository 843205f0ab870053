"""Verb ``anomaly``: find observations that the model does not expect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, classes, in_batches
from latentrl.data.frames import Frames
from latentrl.latents.anomaly import AnomalyDetector
from latentrl.latents.conformal import needed_for
from latentrl.latents.detector_files import has_detector
from latentrl.latents.roc import auroc
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array
from latentrl.viz.figures import Figure
from latentrl.viz.images import colormap, in_proportion, model_images
from latentrl.viz.plots import Shade, comparison_sheet
from latentrl.viz.sheets import Labels, image_sheet

CALIBRATION = 0.2
"""Fraction of the data that sets the threshold if no normal observations are given."""
BRIGHTEST = 0.998
"""Quantile of the maps in the brightest colour: one pixel does not darken all others."""


@VERBS.register("anomaly")
@dataclass(frozen=True, kw_only=True)
class Anomaly(DataVerb):
    """Find observations that the model does not expect, at a given false-alarm rate."""

    normal: Path | None = None
    """Held-out normal observations, which set the threshold. Default: the threshold of a detector
    saved in MODEL; without one, or with another --false-alarm-rate, a fifth of --data sets it,
    which is then not scored: random observations or episodes, or the first part of a series."""
    training: Path | None = None
    """Normal observations that the model was trained on, to compare new ones with. Default: the
    references of a detector saved in MODEL; without any, the reconstruction alone is scored."""
    false_alarm_rate: float | None = None
    """Fraction of normal observations that may raise an alarm. Default: that of a detector saved in
    MODEL, or 0.01."""
    labels: Path | None = None
    """File of labels, to measure the detection. Default: the labels in --data."""
    anomalous_label: int | None = None
    """Label of the anomalies. Default: every label but 0 of a --labels file."""
    factor: int | None = None
    """Column of the labels, if they are factors."""
    count: int = 10
    """Number of observations in the image, the highest score first."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write maps.npy and scores.csv, in the same order, and anomalies.png."""
        at_least(1, count=self.count)
        frames = self.read_complete(self.data, model)
        anomalous = self._anomalous(frames)
        detector = self._detector(model)
        if self._keeps_threshold(detector):
            scored, calibration = np.arange(len(frames)), {}
            output.notes.append("the threshold is that of the saved detector")
        else:
            normal, scored = self._split(frames, anomalous, model)
            if self.normal is None:
                output.notes.append(_calibration_note(len(normal), scored, anomalous))
            self._calibrate(detector, normal)
            calibration = {"observations for calibration": len(normal)}
        threshold = detector.require_threshold()
        scores, steps = _score(detector, frames.subset(scored), output)
        alarms = scores > threshold
        _write_scores(output, scored, scores, alarms, steps)
        worst = np.argsort(-scores, kind="stable")[: self.count]
        figure = _anomaly_figure(detector, frames[scored[worst]], scores[worst])
        output.figure("anomalies.png", figure)
        metrics: Metrics = {
            f"threshold, {detector.unit}": threshold,
            **calibration,
            "observations scored": len(scored),
            "alarms": int(alarms.sum()),
        }
        truth = None if anomalous is None else anomalous[scored]
        return metrics | ({} if truth is None else _detection(scores, alarms, truth))

    def _detector(self, model: Autoencoder) -> AnomalyDetector:
        if self.training is None and has_detector(self.model):
            detector = AnomalyDetector.load(self.model, self.device)
        else:
            detector = AnomalyDetector(model, seed=self.seed)
        if self.false_alarm_rate is not None:
            detector.false_alarm_rate = self.false_alarm_rate
        return detector

    def _keeps_threshold(self, detector: AnomalyDetector) -> bool:
        others = self.normal is not None or self.false_alarm_rate is not None
        return detector.threshold is not None and not others

    def _calibrate(self, detector: AnomalyDetector, normal: Frames) -> None:
        rate, count = detector.false_alarm_rate, len(normal)
        if count < (needed := needed_for(rate)):
            raise ValueError(
                f"--false-alarm-rate {rate:g} needs at least {needed} normal observations to set "
                f"the threshold, got {count}: give more by --normal, or raise --false-alarm-rate"
            )
        if self.training is None:
            detector.calibrate(normal)
        else:
            training = self.read_complete(self.training, detector.require_model())
            detector.fit(training, calibration=normal)

    def _anomalous(self, frames: Frames) -> Array | None:
        if self.labels is None and self.anomalous_label is None:
            return None
        path = self.labels or self.data
        labels = classes(path, frames, self.factor)
        if labels is None:
            raise ValueError(f"{path} has no labels: omit --anomalous-label, or give --labels FILE")
        label = self.anomalous_label
        anomalous: Array = labels != 0 if label is None else labels == label
        if anomalous.all() or not anomalous.any():
            raise ValueError(
                f"the labels mark {anomalous.sum()} of {len(labels)} observations as anomalies: "
                "expected some, not all"
            )
        return anomalous

    def _split(
        self, frames: Frames, anomalous: Array | None, model: Autoencoder
    ) -> tuple[Frames, Array]:
        """Return the frames for calibration and the positions of those to score."""
        everything = np.arange(len(frames))
        if self.normal is not None:
            return self.read_complete(self.normal, model), everything
        candidates = everything if anomalous is None else np.flatnonzero(~anomalous)
        held_out = self._held_out(frames.episodes[candidates])
        # A threshold keeps its false-alarm rate on other observations than those that set it.
        drawn = candidates[held_out]
        return frames.subset(drawn), np.setdiff1d(everything, drawn)

    def _held_out(self, episodes: Array) -> Array:
        """Return which normal observations set the threshold, bool ``(N,)``."""
        # Neighbours in time, such as windows that overlap, must not lie on both sides: an anomaly
        # would set the threshold by its neighbours.
        wanted = round(CALIBRATION * len(episodes))
        numbers, sizes = np.unique(episodes, return_counts=True)
        order = np.random.default_rng(self.seed).permutation(len(numbers))
        drawn = np.isin(episodes, numbers[order[np.cumsum(sizes[order]) <= wanted]])
        # Of a few long episodes, no whole one is a fifth.
        return drawn if 2 * drawn.sum() > wanted else np.arange(len(episodes)) < wanted


def _calibration_note(count: int, scored: Array, anomalous: Array | None) -> str:
    first = "the first " if 0 < count == scored[0] else ""
    drawn = f"without --normal, {first}{count:,} observations of --data set the threshold"
    if anomalous is not None:
        return f"{drawn}, all of them labelled normal"
    return f"{drawn}; anomalies among them raise it, so that fewer are found"


def _score(detector: AnomalyDetector, frames: Frames, output: Output) -> tuple[Array, Array | None]:
    """Write the maps of ``frames``; return their scores and, of sequences, their worst steps."""
    scores, steps = list[Array](), list[Array]()
    space = detector.require_model().observation_space

    def score(batch: Array) -> Array:
        maps = detector.map(batch)
        scores.append(detector.score(batch))
        steps.append(maps.reshape(len(maps), -1).argmax(1))
        return maps

    shape = detector.map(frames[0]).shape
    map_space = spaces.Box(-np.inf, np.inf, shape, np.float32)
    output.stream("maps.npy", in_batches(frames, "scoring", score), len(frames), map_space)
    over_time = len(space.shape) == 2 and not is_image(space)
    return np.concatenate(scores), np.concatenate(steps) if over_time else None


def _write_scores(
    output: Output, scored: Array, scores: Array, alarms: Array, steps: Array | None
) -> None:
    columns: dict[str, Any] = {
        "index": scored,
        "score": [f"{score:.6g}" for score in scores],
        "is_anomaly": alarms.astype(int),
    }
    columns |= {} if steps is None else {"worst_step": steps}
    output.table("scores.csv", list(columns), zip(*columns.values(), strict=True))


def _detection(scores: Array, alarms: Array, anomalous: Array) -> Metrics:
    return {
        "AUROC": auroc(scores, anomalous),
        "false-alarm rate": float(alarms[~anomalous].mean()),
        "recall": float(alarms[anomalous].mean()),
    }


def _anomaly_figure(detector: AnomalyDetector, observations: Array, scores: Array) -> Figure:
    model = detector.require_model()
    maps = detector.map(observations)
    low = float(maps.min())
    high = max(float(np.quantile(maps, BRIGHTEST)), low + 1e-6)
    observed, decoded = model.preprocessed(observations), model.reconstruct(observations)
    alarms = scores > detector.threshold
    captions = [f"{'alarm, ' * bool(a)}{s:.1f}" for a, s in zip(alarms, scores, strict=True)]
    if not is_image(model.observation_space):
        shade = Shade("nll (darker is higher)", (maps - low) / (high - low))
        names, labels = ("observed", "decoded"), Labels(columns=captions, fold=True)
        return comparison_sheet(model, names, [(observed, decoded)], labels, shade)
    drawn = in_proportion(model, colormap(maps, low, high))
    rows = [model_images(model, observed), model_images(model, decoded), drawn]
    scale = f"nll from {low:.2g} (black) to {high:.2g} nats (yellow) per pixel"
    title = f"score in {detector.unit}; map: {scale}"
    return image_sheet(rows, Labels(("observed", "decoded", "map"), captions, title, fold=True))
