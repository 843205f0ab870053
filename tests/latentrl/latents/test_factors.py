"""Checks, splits and draws of latents with known factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentrl.latents.disentanglement import METRICS, disentanglement_scores
from latentrl.latents.factors import check_labelled, draw_groups, random_split

FACTORS = np.random.default_rng(0).integers(0, 4, (900, 3))
LATENTS = np.random.default_rng(1).standard_normal((900, 3))


def test_checked_arrays_have_fixed_types() -> None:
    latents, factors = check_labelled(LATENTS.astype(np.float32), FACTORS.astype(float))
    assert (latents.dtype, factors.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(factors, FACTORS)


def test_groups_share_a_value_and_none_repeats_its_first_row() -> None:
    factor = np.array([7, 3, 3, 7, 9, 7, 7])
    rows = draw_groups(factor, (2000, 5, 2), np.random.default_rng(0))
    assert rows.shape == (2000, 5, 2)
    assert (factor[rows[..., 0]] == factor[rows[..., 1]]).all()
    assert (rows[..., 0] != rows[..., 1]).all()
    assert np.bincount(rows.ravel(), minlength=7) / rows.size == pytest.approx(
        np.array([1, 1, 1, 1, 0, 1, 1]) / 6, abs=0.01
    )


@pytest.mark.parametrize(("rows", "sizes"), [(900, (100, 50)), (300, (200, 100))])
def test_rows_are_drawn_or_split(rows: int, sizes: tuple[int, int]) -> None:
    train, test = (100, 50) if rows == 900 else (10_000, 5_000)
    latents = np.arange(2.0 * rows).reshape(rows, 2)
    sets = random_split(latents, FACTORS[:rows], 0, train=train, test=test)
    assert tuple(len(x) for x, _ in sets) == sizes
    drawn = np.concatenate([x[:, 0] for x, _ in sets])
    assert len(np.unique(drawn)) == sum(sizes)
    for x, values in sets:
        np.testing.assert_array_equal(values, FACTORS[(x[:, 0] / 2).astype(int)])


WHOLE = (
    r"factors must be whole numbers, got {}; number categories with np\.unique and bin continuous "
    r"factors with np\.digitize"
)
ROWS = "latents and factors need one row per observation and at least 100, got {} and {} rows"


@pytest.mark.parametrize(
    ("latents", "factors", "message"),
    [
        (
            LATENTS[:, 0],
            FACTORS,
            r"latents must be \(N, latent_dim\) with at least 2 columns to compare, got \(900,\)",
        ),
        (LATENTS[:, :1], FACTORS, r"latents must be \(N, latent_dim\) .* got \(900, 1\)"),
        (
            LATENTS,
            FACTORS[:, 0],
            r"factors must be \(N, F\) with at least 2 columns to compare, got \(900,\)",
        ),
        (LATENTS, FACTORS[:-1], ROWS.format(900, 899)),
        (LATENTS[:99], FACTORS[:99], ROWS.format(99, 99)),
        (
            np.where(np.eye(900, 3) > 0, [np.nan, 0, np.inf], LATENTS),
            FACTORS,
            r"latents must be finite, got NaN or infinity in dimensions \[0, 2\]",
        ),
        (LATENTS, FACTORS + 0.5 * (FACTORS == 3), WHOLE.format(r"3\.5")),
        (LATENTS, np.where(FACTORS == 3, np.nan, FACTORS), WHOLE.format("nan")),
        (LATENTS, np.where(FACTORS == 3, "red", "blue"), WHOLE.format("(red|blue)")),
        (
            LATENTS,
            FACTORS * [1, 0, 1],
            "factor 1 has 1 value in 900 rows; drop it, or add rows with other values",
        ),
        (
            LATENTS,
            np.c_[FACTORS, range(900)],
            r"no two of 900 rows share a value of factor 3; bin it with np\.digitize",
        ),
    ],
)
@pytest.mark.parametrize("name", list(METRICS))
def test_wrong_arrays_are_refused(latents: Any, factors: Any, message: str, name: str) -> None:
    with pytest.raises(ValueError, match=message):
        METRICS[name](latents, factors)
    with pytest.raises(ValueError, match=message):
        disentanglement_scores(latents, factors, metrics=[])
