"""Scores against closed forms and scikit-learn, alarms against their rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from sklearn.metrics import roc_auc_score

import latentrl as lrl
from latentrl.latents.conformal import conformal_threshold
from latentrl.models.arrays import CHUNK
from latentrl.training.health import latent_statistics


@pytest.fixture(scope="module")
def linear(vectors: Any) -> lrl.Autoencoder:
    """Principal components and latent statistics of all vectors but the validation ones."""
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    latent_statistics(model, lrl.as_frames(vectors).split(0.1, 0)[0]).store(model)
    return model


def test_score_is_the_density_of_the_reconstruction(fitted: lrl.Autoencoder, images: Any) -> None:
    detector = lrl.AnomalyDetector(fitted)
    scores, maps = detector.score(images[:20]), detector.map(images[:20])
    assert scores.dtype == np.float64
    assert maps.shape == (20, 32, 32)
    np.testing.assert_allclose(maps.sum((1, 2)), scores, rtol=1e-4)
    np.testing.assert_allclose(
        scores, fitted.pixel_nll(images[:20]).sum((1, 2, 3), dtype=np.float64), rtol=1e-6
    )
    np.testing.assert_allclose(detector.score(images[3]), scores[3], rtol=1e-4)
    assert detector.map(images[3]).shape == (32, 32)


@pytest.mark.parametrize(
    ("shape", "dtype", "positions"),
    [
        ((5,), np.float32, (5,)),
        ((6, 2), np.float32, (6,)),
        ((8, 9), np.uint8, (8, 9)),
        ((8, 9, 3), np.uint8, (8, 9)),
    ],
)
def test_maps_have_a_value_for_each_position(shape: Any, dtype: Any, positions: Any) -> None:
    space = (
        spaces.Box(0, 255, shape, dtype)
        if dtype is np.uint8
        else spaces.Box(-np.inf, np.inf, shape, dtype)
    )
    detector = lrl.AnomalyDetector(lrl.ae(space, 2, backbone={"name": "mlp", "hidden": (8,)}))
    batch = np.stack([space.sample() for _ in range(4)])
    assert detector.map(batch).shape == (4, *positions)
    np.testing.assert_allclose(
        detector.map(batch).reshape(4, -1).sum(1), detector.score(batch), rtol=1e-4
    )
    assert np.ndim(detector.score(batch[0])) == 0
    assert detector.map(batch[0]).shape == positions


def test_maps_are_high_where_an_image_is_corrupted(images: Any) -> None:
    model = lrl.pca((32, 32, 3), 20)
    lrl.fit(model, images, progress=False)
    corrupted = images[:20].copy()
    corrupted[:, 2:5, 25:28] = 255 - corrupted[:, 2:5, 25:28]
    added = lrl.AnomalyDetector(model).map(corrupted) - lrl.AnomalyDetector(model).map(images[:20])
    assert added[:, 2:5, 25:28].sum() > 0.7 * np.abs(added).sum()


def test_scores_of_files_and_of_many_observations(
    linear: lrl.Autoencoder, vectors: Any, tmp_path: Any
) -> None:
    np.save(tmp_path / "rows.npy", vectors)
    assert len(vectors) > CHUNK
    detector = lrl.AnomalyDetector(linear)
    np.testing.assert_allclose(detector.score(tmp_path / "rows.npy"), detector.score(vectors))
    np.testing.assert_allclose(
        detector.map(lrl.as_frames(vectors)), linear.pixel_nll(vectors), rtol=1e-5
    )
    assert detector.score(vectors[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("count", "rate"), [(19, 0.05), (99, 0.01), (50, 0.1), (1, 0.5), (48, 1 / 49)]
)
def test_the_mean_false_alarm_rate_is_at_most_the_given_one(
    count: int, rate: float, linear: lrl.Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lrl.AnomalyDetector, "score", lambda self, observations: observations)
    draws = np.random.default_rng(0).random((4000, count))
    # Scores are uniform over (0, 1), so that the rate of alarms is 1 less the threshold.
    alarms = [1 - lrl.AnomalyDetector(linear).calibrate(scores, rate).threshold for scores in draws]
    assert np.mean(alarms) == pytest.approx(
        np.floor((count + 1) * rate + 1e-9) / (count + 1), rel=0.1
    )


def test_threshold_is_the_conformal_quantile(linear: lrl.Autoencoder, vectors: Any) -> None:
    detector = lrl.AnomalyDetector(linear)
    assert detector.calibrate(vectors[:150], 0.02) is detector
    rank = int(np.ceil(151 * 0.98))
    assert detector.threshold == np.sort(detector.score(vectors[:150]))[rank - 1]
    alarms = detector.is_anomaly(vectors[:150])
    assert alarms.dtype == bool
    assert alarms.sum() == 150 - rank


def test_a_threshold_can_be_set(linear: lrl.Autoencoder, vectors: Any) -> None:
    threshold = lrl.AnomalyDetector(linear).calibrate(vectors, 0.1).threshold
    detector = lrl.AnomalyDetector(linear, threshold=threshold)
    assert 0.05 < detector.is_anomaly(vectors).mean() <= 0.1
    assert detector.is_anomaly(vectors[0]).shape == ()
    corrupted = vectors + 20 * np.eye(8, dtype=np.float32)[np.arange(1000) % 8]
    assert detector.is_anomaly(corrupted).mean() > 0.9


def test_wrong_uses_of_a_detector_are_refused(linear: lrl.Autoencoder, vectors: Any) -> None:
    detector = lrl.AnomalyDetector(linear)
    with pytest.raises(
        ValueError,
        match="the detector has no threshold: calibrate it with normal observations, or set one",
    ):
        detector.is_anomaly(vectors)
    with pytest.raises(
        ValueError, match=r"0\.01 needs at least 99 normal observations to calibrate, got 98"
    ):
        detector.calibrate(vectors[:98])
    with pytest.raises(
        ValueError, match=r"0\.03 needs at least 33 normal observations to calibrate, got 1"
    ):
        detector.calibrate(vectors[0], 0.03)
    with pytest.raises(ValueError, match="false_alarm_rate must lie between 0 and 1, got 1"):
        detector.calibrate(vectors, 1)
    with pytest.raises(TypeError, match="'random' model has no decoder"):
        lrl.AnomalyDetector(lrl.random((8,), 3)).score(vectors)
    with pytest.raises(TypeError, match=r"such as lrl\.ae.*, got 'runs/a': read a"):
        lrl.AnomalyDetector("runs/a")
    detector.calibrate(vectors[:99])


def test_scores_that_are_no_numbers(linear: lrl.Autoencoder, vectors: Any) -> None:
    scores = np.arange(40.0)
    scores[[7, 9]] = np.nan
    with pytest.raises(ValueError, match=r"scores of 2 of 40 normal .* NaN: drop"):
        conformal_threshold(scores, 0.1)
    detector = lrl.AnomalyDetector(linear, threshold=1.0)
    detector.score = lambda _: np.array([np.nan, 0.0, 1.0, 2.0])
    assert detector.is_anomaly(vectors).tolist() == [True, False, False, True]
    assert detector.predict(vectors).tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_auroc_equals_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(0)
    anomalous = rng.random(500) < 0.1
    scores = (rng.standard_normal(500) + anomalous).round(decimals)
    assert lrl.auroc(scores, anomalous) == pytest.approx(
        roc_auc_score(anomalous, scores), abs=1e-12
    )
    assert lrl.auroc(-scores, anomalous.astype(int)) == pytest.approx(
        1 - lrl.auroc(scores, anomalous)
    )


def test_auroc_needs_both_kinds_and_one_label_per_score() -> None:
    assert lrl.auroc([1, 2, 3], [0, 0, 1]) == 1
    with pytest.raises(ValueError, match=r"of 0 and 1 or bool as the second .*, after .* got 2"):
        lrl.auroc([0, 0, 1, 1], [0, 1, 2, 3])
    with pytest.raises(
        ValueError, match="needs both kinds, got 0 anomalies and 3 normal observations"
    ):
        lrl.auroc([1, 2, 3], [0, 0, 0])
    with pytest.raises(
        ValueError, match=r"one score and one label each, got shapes \(3,\) and \(2,\)"
    ):
        lrl.auroc([1, 2, 3], [0, 1])
    with pytest.raises(ValueError, match=r"scores\[1\] is NaN, which has no rank"):
        lrl.auroc([1, np.nan, 3], [0, 0, 1])
