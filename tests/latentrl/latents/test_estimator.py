"""The interface of scikit-learn, by scikit-learn's own tools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_outlier_detector
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import latentrl as lrl

QUICK = lrl.FitConfig(steps=30, batch_size=32, precision="float32", device="cpu")


@pytest.fixture
def detector() -> lrl.AnomalyDetector:
    return lrl.AnomalyDetector(lrl.pca((8,), 3), false_alarm_rate=0.05)


def test_signs_are_those_of_scikit_learn(detector: lrl.AnomalyDetector, vectors: Any) -> None:
    labels = detector.fit_predict(vectors.astype(np.float64))
    assert set(labels) == {-1, 1}
    np.testing.assert_array_equal(labels == -1, detector.is_anomaly(vectors))
    np.testing.assert_array_equal(detector.score_samples(vectors), -detector.score(vectors))
    np.testing.assert_allclose(
        detector.decision_function(vectors), detector.threshold - detector.score(vectors)
    )
    assert (detector.score_samples(vectors + 50) < detector.score_samples(vectors)).all()


def test_clones_are_unfitted_and_have_equal_parameters(
    detector: lrl.AnomalyDetector, vectors: Any
) -> None:
    detector.fit(vectors)
    copy = clone(detector)
    assert copy.get_params().keys() == detector.get_params().keys()
    assert copy.false_alarm_rate == 0.05
    assert copy.threshold is None
    assert copy.references is None
    check_is_fitted(detector)
    assert is_outlier_detector(copy)
    np.testing.assert_array_equal(copy.fit(vectors).score(vectors), detector.score(vectors))


def test_a_pipeline_of_a_scaler_and_a_detector(detector: lrl.AnomalyDetector, vectors: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), detector).fit(vectors)
    assert pipeline.predict(vectors + 50).tolist() == [-1] * len(vectors)
    assert pipeline.score_samples(vectors).shape == (len(vectors),)
    pipeline.set_params(anomalydetector__false_alarm_rate=0.2)
    assert detector.false_alarm_rate == 0.2


def test_rows_of_whole_numbers_are_vectors_for_the_default_model() -> None:
    detector = lrl.AnomalyDetector(false_alarm_rate=0.05, config=QUICK)
    counts = np.random.default_rng(0).poisson(9, (400, 6))
    detector.fit(counts)
    assert detector.predict(counts + 90).tolist() == [-1] * 400
    assert detector.predict((counts[:3] + 90).tolist()).tolist() == [-1] * 3


def test_a_grid_search_chooses_by_labels(detector: lrl.AnomalyDetector, vectors: Any) -> None:
    def area(estimator: Any, x: Any, y: Any) -> float:
        return lrl.auroc(estimator.score(x), y)

    labels = np.arange(len(vectors)) % 20 == 0
    x = vectors + 30 * labels[:, None].astype(np.float32)
    search = GridSearchCV(detector, {"max_references": [50, 400]}, scoring=area, cv=2)
    search.fit(x, labels)
    assert search.best_score_ > 0.5


def test_an_unknown_parameter_is_named(detector: lrl.AnomalyDetector) -> None:
    with pytest.raises(ValueError, match="unknown parameter 'k'; known: model, false_alarm_rate"):
        detector.set_params(k=3)
    with pytest.raises(ValueError, match="the detector has no threshold"):
        detector.predict(np.zeros((3, 8), np.float32))
