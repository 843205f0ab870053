"""Anomaly detection of digits, compared with scikit-learn."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from latentrl import AnomalyDetector, FitConfig, ae, auroc, fit
from latentrl.types import Array
from latentrl.viz.images import anomalies
from scripts.studies.autoencoders.data import digits, flat, mnist
from scripts.studies.core import Row, Study, Table

CLASSES = range(10)
STEPS = 2000
RATES = (0.01, 0.05)
"""Requested rates of false alarms."""
SPLITS = 10
"""Random splits of the held-out normal images into calibration and test, for each digit."""
COMPONENTS = (4, 8, 16, 24, 32)
Scorer = Callable[[Array], Array]


@dataclass(frozen=True)
class Fold:
    """Results with one digit left out of the training."""

    areas: dict[str, float]
    """AUROC by method."""
    alarms: dict[float, list[float]]
    """Observed rates of false alarms over ``SPLITS``, by requested rate."""
    image: Array
    """The ten least likely images and their anomaly maps."""


def study() -> Study:
    """Anomaly detection of a digit that training left out, compared with scikit-learn.

    Each of the ten digits is the anomaly in turn. The number of components of PCA is the best of
    4 to 32 on the test images themselves.
    """
    rows: list[Row] = []
    tables, images = [], {}
    for name, (data, labels) in (("digits 8x8", digits()), ("MNIST 28x28", mnist())):
        folds = [_fold(data, labels, left_out) for left_out in CLASSES]
        areas = {key: np.array([fold.areas[key] for fold in folds]) for key in folds[0].areas}
        rows.append(_area_row(name, areas))
        rows += [_alarm_row(name, rate, [fold.alarms[rate] for fold in folds]) for rate in RATES]
        tables.append(_area_table(name, areas))
        images[
            f"{name}: images least likely under a model trained without 9, and their anomaly maps"
        ] = folds[9].image
    return Study(rows, tables, images)


def _fold(images: Array, labels: Array, left_out: int) -> Fold:
    normal, other = images[labels != left_out], images[labels == left_out]
    training, held_out = np.split(normal, [len(normal) // 3])
    torch.manual_seed(0)
    model = ae(images.shape[1:], 8 if images.shape[1] < 16 else 16, backbone={"name": "mlp"})
    fit(model, training, FitConfig(steps=STEPS, precision="float32"), progress=False)
    detector = AnomalyDetector(model)
    mixed = np.concatenate([held_out, other])
    truth = np.arange(len(mixed)) >= len(held_out)
    scorers = {"latentrl": detector.score, **_baselines(flat(training))}
    areas = {name: auroc(score(mixed), truth) for name, score in scorers.items()}
    alarms = {rate: _false_alarms(detector, held_out, rate, left_out) for rate in RATES}
    least_likely = mixed[np.argsort(-detector.score(mixed))[:10]]
    return Fold(areas, alarms, anomalies(detector, least_likely))


def _false_alarms(detector: AnomalyDetector, normal: Array, rate: float, seed: int) -> list[float]:
    rates, rng = [], np.random.default_rng(seed)
    for _ in range(SPLITS):
        calibration, test = np.array_split(rng.permutation(normal), 2)
        rates.append(float(detector.calibrate(calibration, rate).is_anomaly(test).mean()))
    return rates


def _baselines(x: Array) -> dict[str, Scorer]:
    forest = importlib.import_module("sklearn.ensemble").IsolationForest(random_state=0).fit(x)
    machine = importlib.import_module("sklearn.svm").OneClassSVM(nu=0.05).fit(x)
    return {
        **{f"PCA {count}": _pca(x, count) for count in COMPONENTS},
        # scikit-learn scores are high for normal samples.
        "isolation forest": lambda images: -forest.score_samples(flat(images)),
        "one-class SVM": lambda images: -machine.score_samples(flat(images)),
    }


def _pca(x: Array, count: int) -> Scorer:
    pca = importlib.import_module("sklearn.decomposition").PCA(count, random_state=0).fit(x)

    def score(images: Array) -> Array:
        x = flat(images)
        error: Array = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1)
        return error

    return score


def _area_row(name: str, areas: dict[str, Array]) -> Row:
    means = {method: float(area.mean()) for method, area in areas.items()}
    best_pca = max((method for method in means if method.startswith("PCA")), key=means.__getitem__)
    baselines = {
        method: means[method] for method in (best_pca, "isolation forest", "one-class SVM")
    }
    reached = means["latentrl"] >= max(baselines.values()) - 0.01
    goal = "best, or within 0.01 of it"
    return Row(f"{name}: AUROC, mean of ten", means["latentrl"], baselines, goal, reached)


def _alarm_row(name: str, rate: float, observed: Sequence[Sequence[float]]) -> Row:
    percentages = 100 * np.array(observed)
    mean = float(percentages.mean())
    std = {"standard deviation of one calibration": float(percentages.std())}
    metric = f"{name}: false alarms at a requested rate of {100 * rate:g} %, %"
    return Row(metric, mean, std, "within 0.5 on average", abs(mean - 100 * rate) <= 0.5)


def _area_table(name: str, areas: dict[str, Array]) -> Table:
    rows = [[method, *(f"{area:.3f}" for area in values)] for method, values in areas.items()]
    return Table(f"{name}: AUROC by the digit left out", ["method", *map(str, CLASSES)], rows)
