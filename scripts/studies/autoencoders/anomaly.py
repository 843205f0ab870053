"""Studies of how a model judges observations: anomalies, and its own uncertainty."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from latentrl import AnomalyDetector, FitConfig, ae, auroc, fit, vae
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import anomalies
from scripts.studies.autoencoders.data import car_racing, digits, mnist, some
from scripts.studies.core import STUDIES, Row, Study, Table

CLASSES = range(10)
RATES = (0.01, 0.05)
SPLITS = 10
"""Partitions of the held-out normal images into those to calibrate with and fresh ones, for each
digit left out."""
COMPONENTS = (4, 8, 16, 24, 32)
Scorer = Callable[[Array], Array]


@STUDIES.register("anomaly")
def anomaly() -> Study:
    """Models of nine digits score the tenth, for each digit in turn. The components of PCA are the
    best of 4 to 32.
    """
    rows: list[Row] = []
    tables, pictures = [], {}
    for name, (images, labels), steps in (
        ("digits 8x8", digits(), 2000),
        ("MNIST 28x28", mnist(), 2000),
    ):
        folds = [_fold(images, labels, left_out, steps) for left_out in CLASSES]
        areas = {method: np.array([fold[0][method] for fold in folds]) for method in folds[0][0]}
        rows.append(_area_row(name, areas))
        rows += [_alarm_row(name, rate, [fold[1][rate] for fold in folds]) for rate in RATES]
        tables.append(_area_table(name, areas))
        pictures[f"{name}: what a model of all digits but 9 found least likely, and where"] = folds[
            9
        ][2]
    return Study(rows, tables, pictures)


Fold = tuple[dict[str, float], dict[float, list[float]], Array]
"""AUROC by method, false alarms by the rate asked for, and a picture."""


def _fold(images: Array, labels: Array, left_out: int, steps: int) -> Fold:
    normal, other = images[labels != left_out], images[labels == left_out]
    training, held_out = np.split(normal, [len(normal) // 3])
    torch.manual_seed(0)
    model = ae(images.shape[1:], 8 if images.shape[1] < 16 else 16, backbone={"name": "mlp"})
    fit(model, training, FitConfig(steps=steps, precision="float32"), progress=False)
    detector = AnomalyDetector(model)
    mixed, truth = (
        np.concatenate([held_out, other]),
        np.arange(len(held_out) + len(other)) >= len(held_out),
    )
    scorers = {"latentrl": detector.score, **_others(training)}
    areas = {name: auroc(score(mixed), truth) for name, score in scorers.items()}
    alarms = {rate: _alarms(detector, held_out, rate, left_out) for rate in RATES}
    worst = mixed[np.argsort(-detector.score(mixed))[:10]]
    return areas, alarms, anomalies(detector, worst)


def _alarms(detector: AnomalyDetector, normal: Array, rate: float, seed: int) -> list[float]:
    found, rng = [], np.random.default_rng(seed)
    for _ in range(SPLITS):
        calibration, fresh = np.array_split(rng.permutation(normal), 2)
        found.append(float(detector.calibrate(calibration, rate).is_anomaly(fresh).mean()))
    return found


def _others(training: Array) -> dict[str, Scorer]:
    flat = _flat(training)
    forest = importlib.import_module("sklearn.ensemble").IsolationForest(random_state=0).fit(flat)
    machine = importlib.import_module("sklearn.svm").OneClassSVM(nu=0.05).fit(flat)
    components = {f"PCA {count}": _pca(flat, count) for count in COMPONENTS}
    return {
        **components,
        "isolation forest": lambda images: -forest.score_samples(_flat(images)),
        "one-class SVM": lambda images: -machine.score_samples(_flat(images)),
    }


def _pca(flat: Array, count: int) -> Scorer:
    pca = importlib.import_module("sklearn.decomposition").PCA(count, random_state=0).fit(flat)

    def score(images: Array) -> Array:
        x = _flat(images)
        error: Array = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1)
        return error

    return score


def _flat(images: Array) -> Array:
    flat: Array = images.reshape(len(images), -1) / 255
    return flat


def _area_row(name: str, areas: dict[str, Array]) -> Row:
    means = {method: float(area.mean()) for method, area in areas.items()}
    best_pca = max((method for method in means if method.startswith("PCA")), key=means.__getitem__)
    others = {method: means[method] for method in (best_pca, "isolation forest", "one-class SVM")}
    ours = means["latentrl"]
    reached = ours >= max(others.values()) - 0.01
    return Row(f"{name}: AUROC, mean of ten", ours, others, "best, or within 0.01 of it", reached)


def _alarm_row(name: str, rate: float, alarms: Iterable[list[float]]) -> Row:
    all_alarms = 100 * np.array(list(alarms))
    percent, spread = (
        float(all_alarms.mean()),
        {"one calibration: standard deviation": float(all_alarms.std())},
    )
    what = f"{name}: false alarms where {100 * rate:g} % were asked for, %"
    return Row(what, percent, spread, "within 0.5 on average", abs(percent - 100 * rate) <= 0.5)


def _area_table(name: str, areas: dict[str, Array]) -> Table:
    rows = [[method, *(f"{area:.3f}" for area in values)] for method, values in areas.items()]
    return Table(f"{name}: AUROC by the digit left out", ["method", *map(str, CLASSES)], rows)


@STUDIES.register("variance")
def variance() -> Study:
    """Three Gaussian decoders of a VAE on held-out images, at the posterior mean."""
    rows = []
    for name, images, held_out, backbone, steps in _variance_data():
        figures = {}
        for decoder, likelihood in _decoders().items():
            torch.manual_seed(0)
            model = vae(images.shape[1:], 16, likelihood=likelihood, backbone=backbone)
            fit(model, images, FitConfig(steps=steps))
            figures[decoder] = _judged(model, held_out)
        rows += _variance_rows(name, figures)
    return Study(rows)


def _decoders() -> dict[str, Any]:
    return {
        "every value": "diagonal_gaussian",
        "fixed sigma 0.1": "gaussian",
        "one learned sigma": {"name": "gaussian", "learned": True},
    }


def _variance_data() -> Iterable[tuple[str, Array, Array, Any, int]]:
    images, _ = digits()
    yield "digits 8x8", images[:1400], images[1400:], {"name": "mlp"}, 1500
    training, held_out = car_racing()
    yield "CarRacing", training, some(held_out, 500), None, 1000


@torch.no_grad()
def _judged(model: Autoencoder, images: Array) -> tuple[float, float]:
    x = model.preprocess(torch.from_numpy(images).to(model.device))
    outputs = model(x)[2].float()
    log_prob = model.likelihood.log_prob(outputs, x).flatten(1).sum(1).mean()
    inside = (model.likelihood.mean(outputs) - x).abs() <= 2 * model.likelihood.std(outputs)
    return float(log_prob), float(inside.float().mean())


def _variance_rows(name: str, figures: dict[str, tuple[float, float]]) -> list[Row]:
    likely = {decoder: figure[0] for decoder, figure in figures.items()}
    inside = {decoder: figure[1] for decoder, figure in figures.items()}
    ours, share = likely.pop("every value"), inside.pop("every value")
    better, calibrated = ours > likely["fixed sigma 0.1"], 0.93 <= share <= 0.97
    return [
        Row(f"{name}: held-out log-likelihood, nats", ours, likely, "above fixed sigma", better),
        Row(f"{name}: share of values within 2 sigma", share, inside, ".93 to .97", calibrated),
    ]
