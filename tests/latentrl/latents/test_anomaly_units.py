"""Anomalies in values of any unit, with a large offset, or constant until they move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import latentrl as lrl

CONFIG = lrl.FitConfig(steps=100, batch_size=64, learning_rate=1e-2, precision="float32")
MLP = {"name": "mlp", "hidden": (32,)}


def detector(vectors: Any) -> lrl.AnomalyDetector:
    model = lrl.ae(lrl.as_frames(vectors).space, latent_dim=2, backbone=MLP)
    lrl.fit(model, vectors[:600], CONFIG, progress=False)
    return lrl.AnomalyDetector(model).calibrate(vectors[600:], 0.02)


@pytest.mark.parametrize(
    ("scale", "offset", "dtype"),
    [
        (2e-12, 0.0, np.float32),
        (1.0, 1.7e9, np.float64),
        (5e-6, 47.4, np.float64),
        (0.0, 3.0, np.float32),
        (0.0, 0.0, np.float64),
    ],
    ids=["picoamperes", "seconds since 1970", "degrees of latitude", "constant", "always 0"],
)
def test_a_shift_of_one_value_raises_alarms(scale: float, offset: float, dtype: Any) -> None:
    vectors = np.random.default_rng(0).normal(size=(1000, 3))
    vectors[:, 1] = vectors[:, 1] * scale + offset
    vectors = vectors.astype(dtype)
    found = detector(vectors)
    shifted = vectors.copy()
    shifted[:, 1] += 30 * scale if scale else 0.1
    assert found.is_anomaly(vectors).mean() < 0.1
    assert found.is_anomaly(shifted).mean() > 0.9


@pytest.mark.parametrize("model", ["ae", "pca"])
@pytest.mark.parametrize("value", [1e18, 3e38, -1.7e308])
def test_a_value_that_stands_for_no_reading_raises_an_alarm(value: float, model: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(800, 4))
    trained = {"ae": lrl.ae, "pca": lrl.pca}[model](lrl.as_frames(vectors).space, 2)
    found = lrl.AnomalyDetector(trained, false_alarm_rate=0.02, config=CONFIG).fit(vectors)
    broken = vectors[:3].copy()
    broken[1, 2] = value
    assert np.isfinite(found.score(broken)).all()
    assert found.is_anomaly(broken).tolist() == [False, True, False]
    assert found.predict(broken).tolist() == [1, -1, 1]


def test_it_is_refused_in_the_training() -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 3))
    vectors[7, 1] = 1e300
    with pytest.raises(ValueError, match=r"value 1 of the observations has 1e\+300 among others"):
        lrl.fit(lrl.ae(lrl.as_frames(vectors).space, 2), vectors, CONFIG, progress=False)


def test_the_row_in_an_error_is_that_of_the_array() -> None:
    vectors = np.random.default_rng(0).normal(size=(1100, 3))
    found = detector(vectors)
    vectors[700, 1] = np.nan
    for call in (found.score, found.map, lrl.AnomalyDetector(found.model).calibrate):
        with pytest.raises(ValueError, match=r"NaN or infinity, first in row 700$"):
            call(vectors)
    for model in (None, found.model):
        with pytest.raises(ValueError, match="NaN or infinity, first in observation 700;"):
            lrl.AnomalyDetector(model).fit(vectors)
