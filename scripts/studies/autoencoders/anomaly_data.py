"""Normal observations and anomalies: digits, tumours, sensors, and waves."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from latentrl.types import Array

MOST = 1100
"""Most held-out normal images of a fold."""
SPLITS = 3
"""Random splits of the data that are not digits."""
SENSORS, CAUSES = 60, 5
"""Values of an observation, and the causes that move them."""
STEPS = 32
"""Length of a wave, which has two values per step."""


@dataclass(frozen=True)
class Fold:
    """Observations to train on and to be tested on."""

    training: Array
    """Normal observations to train on."""
    normal: Array
    """Held-out normal observations."""
    anomalies: Array
    """Anomalies."""

    def flat(self, observations: Array) -> Array:
        """Return vectors: pixels in [0, 1], other values standardised by the training data."""
        vectors: Array = observations.reshape(len(observations), -1)
        if observations.dtype == np.uint8:
            return vectors / 255
        training = self.training.reshape(len(self.training), -1)
        scaled: Array = (vectors - training.mean(0)) / training.std(0)
        return scaled


def without_digit(images: Array, labels: Array) -> Iterator[Fold]:
    """Yield a fold per digit, which is the anomaly; a third of the others is for training."""
    for digit in range(10):
        normal, other = images[labels != digit], images[labels == digit]
        training, held_out = np.split(normal, [len(normal) // 3])
        yield Fold(training, held_out[:MOST], other)


def tumours() -> Iterator[Fold]:
    """Yield random splits of scikit-learn's breast cancer data: malignant ones are anomalies."""
    bunch = importlib.import_module("sklearn.datasets").load_breast_cancer()
    x, benign = bunch.data.astype(np.float32), bunch.target == 1
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(benign))
        training, held_out = np.array_split(x[order], 2)
        yield Fold(training, held_out, x[~benign])


def sensors() -> Iterator[Fold]:
    """Yield readings of sensors that few causes move; in an anomaly one has another's reading."""
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        weights = rng.normal(0, CAUSES**-0.5, (CAUSES, SENSORS))
        training, normal, anomalies, others = (
            _readings(rng, count, weights) for count in (1000, 500, 300, 300)
        )
        rows, wrong = np.arange(len(anomalies)), rng.integers(SENSORS, size=len(anomalies))
        anomalies[rows, wrong] = others[rows, wrong]
        yield Fold(training, normal, anomalies)


def _readings(rng: Generator, count: int, weights: Array) -> Array:
    clean = rng.normal(size=(count, CAUSES)) @ weights
    noisy: Array = (clean + rng.normal(0, 0.1, clean.shape)).astype(np.float32)
    return noisy


def waves() -> Iterator[Fold]:
    """Yield sequences of random frequency and phase; a third of the anomalies of each kind."""
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        anomalies = [spiked(rng, 100), faster(rng, 100), stuck(rng, 100)]
        yield Fold(normal_waves(rng, 500), normal_waves(rng, 500), np.concatenate(anomalies))


def normal_waves(rng: Generator, count: int, low: float = 0.4, high: float = 0.7) -> Array:
    """Sine and cosine with noise, float32 ``(count, STEPS, 2)``; frequencies are per step."""
    frequency = rng.uniform(low, high, (count, 1))
    angle = frequency * np.arange(STEPS) + rng.uniform(0, 2 * np.pi, (count, 1))
    clean = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    noisy: Array = (clean + rng.normal(0, 0.1, clean.shape)).astype(np.float32)
    return noisy


def spiked(rng: Generator, count: int) -> Array:
    """Waves of which one value at one step is off by 1."""
    waves = normal_waves(rng, count)
    rows = np.arange(count)
    waves[rows, rng.integers(STEPS, size=count), rng.integers(2, size=count)] += 1
    return waves


def faster(rng: Generator, count: int) -> Array:
    """Waves of a higher frequency."""
    return normal_waves(rng, count, 0.8, 0.9)


def stuck(rng: Generator, count: int) -> Array:
    """Waves that keep one value for a quarter of their steps."""
    waves = normal_waves(rng, count)
    for wave, start in zip(waves, rng.integers(STEPS - STEPS // 4, size=count), strict=True):
        wave[start : start + STEPS // 4] = wave[start]
    return waves
