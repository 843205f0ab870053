"""Anomaly detection in images, vectors and sequences, compared with scikit-learn and PyOD."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from latentrl import AnomalyDetector, Autoencoder, FitConfig, ae, auroc, fit, random
from latentrl.latents.conformal import conformal_threshold, needed_for
from latentrl.types import Array
from latentrl.viz.images import anomalies
from scripts.studies.autoencoders.anomaly_baselines import baselines, nearest_neighbour
from scripts.studies.autoencoders.anomaly_data import Fold, sensors, tumours, waves, without_digit
from scripts.studies.autoencoders.data import digits, mnist
from scripts.studies.core import Row, Study, Table

CONFIG = FitConfig(steps=600, batch_size=64, precision="float32", device="cpu")
LONGER = dataclasses.replace(CONFIG, steps=2000)
"""Training on the small images, which are few."""
RATES = (0.01, 0.05)
"""Requested rates of false alarms."""
SPLITS = 10
"""Random splits of the held-out normal observations into calibration and test, for each fold."""
OURS = "latentrl"


@dataclass(frozen=True)
class Result:
    """Results of one fold."""

    areas: dict[str, float]
    """AUROC by method."""
    alarms: dict[float, list[float]]
    """Observed rates of false alarms over ``SPLITS``, by requested rate."""


def study_of_digits() -> Study:
    """Anomaly detection in scikit-learn's digits, compared with scikit-learn and PyOD.

    Each of the ten digits is the anomaly in turn; a third of the other digits is for training.
    Neighbours of the baselines are searched in pixels. ECOD is written out after its paper. The
    model, fully connected, has 8 latents and 2,000 gradient steps.
    """
    return _study_of_images("digits 8x8", *digits(), 8, LONGER)


def study_of_mnist() -> Study:
    """Anomaly detection in 5,000 digits of MNIST, compared with scikit-learn and PyOD.

    As above, with images of 28 x 28 pixels, 1,100 held-out normal ones for each digit, 16 latents
    and 600 gradient steps.
    """
    return _study_of_images("MNIST 28x28", *mnist(), 16, CONFIG)


def _study_of_images(
    name: str, data: Array, labels: Array, latents: int, config: FitConfig
) -> Study:
    results, image = [], np.empty(0)
    for fold in without_digit(data, labels):
        detector = _fitted(fold, _mlp(data.shape[1:], latents), config)
        results.append(_result(fold, detector))
        image = _least_likely(detector, fold)
    caption = f"{name}: images with the highest scores, trained without 9, and their anomaly maps"
    rows, table = _report(name, results)
    return Study(rows, [table], {caption: image})


def study_of_vectors() -> Study:
    """Anomaly detection in vectors and sequences, compared with scikit-learn and PyOD.

    Malignant among benign tumours, of 30 measurements each, which are standardised; 60 sensors that
    5 causes move, of which one has the reading of another moment; and sequences of two waves that
    have a spike, another frequency or a constant stretch. Three random splits each; the detector
    has the default model.
    """
    rows: list[Row] = []
    tables = []
    data = (("breast cancer", tumours()), ("one wrong sensor", sensors()), ("waves", waves()))
    for name, folds in data:
        results = [_result(fold, _fitted(fold, None, CONFIG)) for fold in folds]
        more_rows, table = _report(name, results)
        rows += more_rows
        tables.append(table)
    return Study(rows, tables)


def _mlp(shape: Sequence[int], latents: int) -> Autoencoder:
    torch.manual_seed(0)
    return ae(shape, latents, backbone={"name": "mlp"})


def _fitted(fold: Fold, model: Autoencoder | None, config: FitConfig) -> AnomalyDetector:
    detector = AnomalyDetector(model, false_alarm_rate=0.1, config=config)
    return detector.fit(fold.training, calibration=fold.normal)


def _result(fold: Fold, detector: AnomalyDetector) -> Result:
    mixed = np.concatenate([fold.normal, fold.anomalies])
    truth = np.arange(len(mixed)) >= len(fold.normal)
    training, vectors = fold.flat(fold.training), fold.flat(mixed)
    areas = {
        OURS: auroc(detector.score(mixed), truth),
        "reconstruction alone": auroc(
            AnomalyDetector(detector.require_model()).score(mixed), truth
        ),
    }
    encode = _random(fold.training, detector).encode
    scorer = nearest_neighbour(encode(fold.training), 1)
    areas["random encoder, 1 neighbour"] = auroc(scorer(encode(mixed)), truth)
    for name, scorer in baselines(training).items():
        areas[name] = auroc(scorer(vectors), truth)
    rates = [rate for rate in RATES if needed_for(rate) <= len(fold.normal) // 2]
    alarms = {rate: _false_alarms(detector, fold.normal, rate) for rate in rates}
    return Result(areas, alarms)


def _random(training: Array, detector: AnomalyDetector) -> Autoencoder:
    torch.manual_seed(0)
    space = detector.require_model().observation_space
    model = random(space, min(32, math.prod(space.shape)), backbone={"name": "mlp"})
    fit(model, training, CONFIG, progress=False)
    return model


def _false_alarms(detector: AnomalyDetector, normal: Array, rate: float) -> list[float]:
    # Scores do not depend on the threshold, so that one pass serves all splits.
    scores, rng = detector.score(normal), np.random.default_rng(0)
    rates = []
    for _ in range(SPLITS):
        calibration, test = np.array_split(rng.permutation(scores), 2)
        rates.append(float((test > conformal_threshold(calibration, rate)).mean()))
    return rates


def _least_likely(detector: AnomalyDetector, fold: Fold) -> Array:
    mixed = np.concatenate([fold.normal, fold.anomalies])
    return anomalies(detector, mixed[np.argsort(-detector.score(mixed))[:10]])


def _report(name: str, results: Sequence[Result]) -> tuple[list[Row], Table]:
    areas = {key: np.array([result.areas[key] for result in results]) for key in results[0].areas}
    alarms = {
        rate: 100 * np.array([result.alarms[rate] for result in results])
        for rate in results[0].alarms
    }
    rows = [_area_row(name, areas), *(_alarm_row(name, *item) for item in alarms.items())]
    return rows, _area_table(name, areas)


def _area_row(name: str, areas: dict[str, Array]) -> Row:
    means = {method: float(area.mean()) for method, area in areas.items()}
    ours = means.pop(OURS)
    best = sorted(means, key=means.__getitem__)[::-1][:3]
    baselines = {method: means[method] for method in best}
    reached = ours >= max(baselines.values())
    return Row(f"{name}: AUROC, mean; the best three others", ours, baselines, "best", reached)


def _alarm_row(name: str, rate: float, percentages: Array) -> Row:
    mean = float(percentages.mean())
    std = {"standard deviation of one calibration": float(percentages.std())}
    metric = f"{name}: false alarms at a requested rate of {100 * rate:g} %, %"
    return Row(metric, mean, std, "within 0.5 on average", abs(mean - 100 * rate) <= 0.5)


def _area_table(name: str, areas: dict[str, Array]) -> Table:
    columns = ["method", "mean", "median", "std", *map(str, range(len(areas[OURS])))]
    rows = []
    for method, values in sorted(areas.items(), key=lambda item: -item[1].mean()):
        summary = (values.mean(), np.median(values), values.std(), *values)
        rows.append([method, *(f"{value:.3f}" for value in summary)])
    return Table(f"{name}: AUROC, best first, and of each fold", columns, rows)
