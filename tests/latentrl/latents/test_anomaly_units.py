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
