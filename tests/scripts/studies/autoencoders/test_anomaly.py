"""Baselines against brute force and scikit-learn; the data of the study."""

from __future__ import annotations

import numpy as np
from sklearn.covariance import EmpiricalCovariance

from scripts.studies.autoencoders.anomaly_baselines import (
    baselines,
    ecod,
    mahalanobis,
    nearest_neighbour,
)
from scripts.studies.autoencoders.anomaly_data import (
    STEPS,
    Fold,
    faster,
    normal_waves,
    spiked,
    stuck,
    without_digit,
)


def test_ecod_equals_its_definition() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.exponential(size=50), -rng.exponential(size=50)], 1)
    score = ecod(x)
    for vector in rng.standard_normal((20, 2)):
        left = [-np.log(((x[:, d] <= vector[d]).sum() + 1) / 51) for d in (0, 1)]
        right = [-np.log(((x[:, d] >= vector[d]).sum() + 1) / 51) for d in (0, 1)]
        # Exponential values have their tail on the right, negative ones on the left.
        expected = max(sum(left), sum(right), right[0] + left[1])
        np.testing.assert_allclose(score(vector[None]), expected)


def test_mahalanobis_equals_scikit_learn() -> None:
    x = np.random.default_rng(0).standard_normal((300, 4)) @ np.diag([1, 2, 3, 4])
    expected = EmpiricalCovariance().fit(x).mahalanobis(x)
    np.testing.assert_allclose(mahalanobis(x)(x) * 300 / 299, expected, rtol=1e-6)


def test_the_distance_from_the_kth_neighbour() -> None:
    x = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(nearest_neighbour(x, 2)(np.array([[0.0], [10.0]])), [1, 9])


def test_all_baselines_are_high_for_anomalies() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 5))
    mixed = np.concatenate([rng.standard_normal((50, 5)), 9 + 0.1 * rng.standard_normal((5, 5))])
    for name, score in baselines(x).items():
        assert score(mixed)[50:].min() > np.quantile(score(mixed)[:50], 0.6), name


def test_folds_of_digits_share_no_image() -> None:
    labels = np.arange(600) % 10
    images = np.arange(600).astype(np.uint8).reshape(-1, 1, 1, 1)
    for digit, fold in enumerate(without_digit(images, labels)):
        assert len(fold.anomalies) == 60
        assert len(fold.training) == 180
        assert len(fold.normal) == 360
        np.testing.assert_array_equal(fold.anomalies, images[labels == digit])


def test_waves_and_their_anomalies() -> None:
    rng = np.random.default_rng(0)
    for make in (normal_waves, spiked, faster, stuck):
        assert make(rng, 20).shape == (20, STEPS, 2)
    waves = stuck(rng, 20)
    repeated = (np.diff(waves, axis=1) == 0).all(-1)
    np.testing.assert_array_equal(repeated.sum(1), STEPS // 4 - 1)
    turns = [
        np.abs(np.fft.rfft(make(rng, 50)[..., 0])).argmax(1) for make in (normal_waves, faster)
    ]
    assert turns[1].min() >= turns[0].max()


def test_vectors_of_floats_are_standardised() -> None:
    x = np.random.default_rng(0).normal(5, 3, (200, 2, 3)).astype(np.float32)
    fold = Fold(x, x, x)
    np.testing.assert_allclose(fold.flat(x).std(0), 1, atol=1e-4)
    assert fold.flat(x).shape == (200, 6)
