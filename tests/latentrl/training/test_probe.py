"""Linear probe: factors that are linear in the latents, noise, and scikit-learn's ridge."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from latentrl.training.probe import RIDGE, linear_probe

RNG = np.random.default_rng(0)
LATENTS = RNG.normal(size=(400, 5)) * [1, 2, 3, 4, 5] + 7
GROUPS = np.arange(400) // 20
TRAINING = (np.arange(400) // 20) % 2 == 0


def test_linear_factors_are_read_and_noise_is_not() -> None:
    factors = np.stack([LATENTS @ [1, -2, 0, 0, 3], RNG.normal(size=400)], 1)
    linear, noise = linear_probe(LATENTS, factors, GROUPS)
    assert linear > 0.999
    assert noise < 0.1


def test_probe_equals_ridge_regression() -> None:
    factors = LATENTS[:, :2] ** 2 + RNG.normal(size=(400, 2))
    z = (LATENTS - LATENTS[TRAINING].mean(0)) / LATENTS[TRAINING].std(0)
    ridge = Ridge(alpha=RIDGE * TRAINING.sum()).fit(z[TRAINING], factors[TRAINING])
    expected = [
        1 - np.square(y - p).sum() / np.square(y - y.mean()).sum()
        for y, p in zip(factors[~TRAINING].T, ridge.predict(z[~TRAINING]).T, strict=True)
    ]
    np.testing.assert_allclose(linear_probe(LATENTS, factors, GROUPS), expected, rtol=1e-6)


def test_a_single_group_is_cut_in_the_middle() -> None:
    factors = np.where(np.arange(400) < 200, LATENTS[:, 0], -LATENTS[:, 0])[:, None]
    assert linear_probe(LATENTS, factors, np.zeros(400))[0] < -1, "trained on the first half"


def test_a_constant_factor_is_refused() -> None:
    factors = np.stack([LATENTS[:, 0], np.ones(400)], 1)
    with pytest.raises(ValueError, match="factor 1 is constant on the rows for the test; drop it"):
        linear_probe(LATENTS, factors, GROUPS)
