"""Detectors of scikit-learn and two of PyOD's, as functions of vectors."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from latentrl.types import Array

Scorer = Callable[[Array], Array]
"""Scores ``(B,)`` of vectors ``(B, D)``, high for anomalies."""
COMPONENTS = (4, 8, 16)
VARIANCE = 1e-3
"""Least variance of a component, of the mean one: constant pixels have none to divide by."""


def baselines(x: Array, seed: int = 0) -> dict[str, Scorer]:
    """Return detectors fitted to normal vectors ``(N, D)``, by name.

    All have scikit-learn's defaults but for the number of neighbours, and for the fraction of
    outliers of the one-class SVM, which is 5 %.
    """
    ensemble, svm = _sklearn("ensemble"), _sklearn("svm")
    return {
        "1 nearest neighbour": nearest_neighbour(x, 1),
        "5 nearest neighbours": nearest_neighbour(x, 5),
        "LOF, 5 neighbours": _lof(x, 5),
        "LOF, 20 neighbours": _lof(x, 20),
        "ECOD": ecod(x),
        "isolation forest": _negative(ensemble.IsolationForest(random_state=seed).fit(x)),
        "one-class SVM": _negative(svm.OneClassSVM(nu=0.05).fit(x)),
        "Mahalanobis": mahalanobis(x),
        **{f"PCA {count}": pca(x, count) for count in COMPONENTS if count < x.shape[1]},
    }


def nearest_neighbour(x: Array, count: int) -> Scorer:
    """Distance from the ``count``-th nearest normal vector (Ramaswamy et al. 2000)."""
    search = _sklearn("neighbors").NearestNeighbors(n_neighbors=count).fit(x)
    return lambda vectors: search.kneighbors(vectors)[0][:, -1]


def ecod(x: Array) -> Scorer:
    """Empirical cumulative distribution based outlier detection (Li et al. 2022, algorithm 1)."""
    columns = np.sort(x, axis=0)
    centred = x - x.mean(0)
    third = (centred**3).mean(0)
    skewness = third / np.maximum(np.square(centred).mean(0), 1e-12) ** 1.5

    def tail(vectors: Array, sign: int) -> Array:
        # Fraction of the training values on this side of each value, itself included.
        counted = np.stack(
            [
                np.searchsorted(np.sort(sign * column), sign * values, side="right")
                for column, values in zip(columns.T, vectors.T, strict=True)
            ],
            axis=1,
        )
        return -np.log((counted + 1) / (len(columns) + 1))

    def score(vectors: Array) -> Array:
        left, right = tail(vectors, 1), tail(vectors, -1)
        by_skewness = np.where(skewness < 0, left, right)
        sums: Array = np.stack([left.sum(1), right.sum(1), by_skewness.sum(1)])
        return sums.max(0)

    return score


def mahalanobis(x: Array) -> Scorer:
    """Mahalanobis distance from the mean, squared."""
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    scale = np.sqrt(np.maximum(values, VARIANCE * values.mean()))

    def score(rows: Array) -> Array:
        squares: Array = np.square((rows - mean) @ vectors / scale).sum(1)
        return squares

    return score


def pca(x: Array, count: int) -> Scorer:
    """Squared error of the reconstruction from ``count`` principal components."""
    model = _sklearn("decomposition").PCA(count, random_state=0).fit(x)

    def score(vectors: Array) -> Array:
        restored = model.inverse_transform(model.transform(vectors))
        error: Array = np.square(vectors - restored).sum(1)
        return error

    return score


def _lof(x: Array, count: int) -> Scorer:
    factor = _sklearn("neighbors").LocalOutlierFactor(n_neighbors=count, novelty=True)
    return _negative(factor.fit(x))


def _negative(detector: Any) -> Scorer:
    # scikit-learn's scores are high for normal samples.
    return lambda vectors: -detector.score_samples(vectors)


def _sklearn(module: str) -> Any:
    return importlib.import_module(f"sklearn.{module}")
