"""InfoMEC of analytic cases, against direct computations and scikit-learn's estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score

from latentrl.latents.infomec import explicitness, infomec, normalised_information

GRID = np.stack(np.meshgrid(range(4), range(4), range(25), indexing="ij"), -1).reshape(-1, 3)[:, :2]
"""All pairs of two factors, 25 times each: their empirical information is exactly 0."""
JITTER = 1e-3 * np.random.default_rng(0).random(GRID.shape)
TURN = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
MIXED = np.random.default_rng(3).integers(0, [3, 4, 6], (600, 3))


def noise(dimensions: int, rows: int = len(GRID)) -> Any:
    return np.random.default_rng(1).standard_normal((rows, dimensions))


def approximately(infom: float, infoe: float, infoc: float, tolerance: float = 1e-3) -> Any:
    return pytest.approx({"infom": infom, "infoe": infoe, "infoc": infoc}, abs=tolerance)


@pytest.mark.parametrize("latents", [GRID * [2.0, -1.0], GRID + JITTER], ids=["levels", "real"])
def test_an_identity_scores_one(latents: Any) -> None:
    assert infomec(latents, GRID) == approximately(1, 1, 1)


@pytest.mark.parametrize("latents", [GRID, GRID + JITTER], ids=["levels", "real"])
def test_copies_are_modular_and_not_compact(latents: Any) -> None:
    # Each factor has two equal rows of four: (1 / 2 - 1 / 4) / (1 - 1 / 4).
    assert infomec(np.concatenate([latents, latents], 1), GRID) == approximately(1, 1, 1 / 3)


def test_a_rotation_is_explicit_and_neither_modular_nor_compact() -> None:
    found = infomec((GRID + JITTER) @ TURN, GRID)
    assert found["infoe"] == pytest.approx(1, abs=0.01)
    assert found["infom"] < 0.2
    assert found["infoc"] < 0.2


def test_latents_of_both_factors_are_not_modular() -> None:
    both = GRID @ [4, 1]  # each value of it is a pair
    assert infomec(np.stack([both, both], 1), GRID) == approximately(0, 1, 0)


@pytest.mark.parametrize("latents", [noise(3), noise(3).round()], ids=["real", "levels"])
def test_independent_latents_explain_nothing(latents: Any) -> None:
    assert infomec(latents, GRID)["infoe"] < 0.06


def test_scores_equal_a_direct_computation() -> None:
    latents = np.stack([MIXED[:, 0] + MIXED[:, 1], MIXED[:, 2] // 2, MIXED[:, 1], MIXED[:, 0]], 1)
    relevance = np.array(
        [[mutual_info_score(z, v) / mutual_info_score(v, v) for v in MIXED.T] for z in latents.T]
    )
    modular = np.mean([max(row) / sum(row) for row in relevance])
    compact = np.mean([max(row) / sum(row) for row in relevance.T])
    found = infomec(latents, MIXED)
    assert found["infom"] == pytest.approx((modular - 1 / 3) / (1 - 1 / 3))
    assert found["infoc"] == pytest.approx((compact - 1 / 4) / (1 - 1 / 4))
    np.testing.assert_allclose(normalised_information(latents, MIXED, True), relevance)


def test_information_of_real_latents_is_that_of_neighbours() -> None:
    latents = MIXED + noise(3, 600)
    found = normalised_information(latents, MIXED, False)
    for i, factor in enumerate(MIXED.T):
        expected = mutual_info_classif(latents, factor, n_neighbors=10, random_state=0)
        np.testing.assert_allclose(found[:, i] * mutual_info_score(factor, factor), expected)


@pytest.mark.parametrize("quantised", [False, True])
def test_explicitness_is_the_balanced_entropy_that_a_classifier_removes(quantised: bool) -> None:
    latents = MIXED + noise(3, 600)
    latents = latents.round() if quantised else latents
    inputs = (latents - latents.mean(0)) / latents.std(0)
    if quantised:
        inputs = np.concatenate([z[:, None] == np.unique(z) for z in latents.T], 1)
    removed = []
    for factor in MIXED.T:
        weights = (len(factor) / np.bincount(factor))[factor]
        model = LogisticRegression(C=1e4, max_iter=5000, tol=1e-8).fit(inputs, factor, weights)
        loss = log_loss(factor, model.predict_proba(inputs), sample_weight=weights)
        removed.append(1 - loss / np.log(factor.max() + 1))
    assert explicitness(latents, MIXED, quantised) == pytest.approx(np.mean(removed), abs=2e-3)


def test_dimensions_of_small_range_are_inactive() -> None:
    latents = GRID + JITTER
    outliers = np.where(np.arange(len(GRID)) % 25 == 0, 100.0, 0.0)  # 4 % of the rows
    extended = np.stack([*latents.T, 1e-3 * noise(1)[:, 0], outliers], 1)
    found, expected = infomec(extended, GRID), infomec(latents, GRID)
    assert {name: found[name] for name in ("infom", "infoc")} == pytest.approx(
        {name: expected[name] for name in ("infom", "infoc")}
    )


def test_without_active_dimensions_all_are_zero() -> None:
    assert infomec(np.ones((len(GRID), 3)), GRID) == approximately(0, 0, 0, 1e-6)
    single = infomec(np.stack([GRID[:, 0], np.ones(len(GRID))], 1), GRID)
    assert (single["infom"], single["infoc"]) == (1, 0)


def test_levels_are_an_option() -> None:
    many = GRID @ [4, 1]
    latents = np.stack([many, GRID[:, 0]], 1)
    assert infomec(latents, GRID, levels=16) != infomec(latents, GRID, levels=15)
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        infomec(latents, GRID, levels=0)
