"""Curves of combined bonuses: what each part scores and its share, whatever the parts are
called."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.novelty import ICM, RND, FirstVisits, HashCounts, NormalizedBonus, Product, Sum
from latentrl.novelty.composite import HORIZON, numbered

B, DIM = 4, 3
FRAMES, CODES = np.zeros((B, 1), np.uint8), np.arange(B * DIM, dtype=np.float32).reshape(B, DIM)


class Fixed:
    """Scores what it is told to."""

    def __init__(self, value):
        self.value = value

    def score(self, observations, latents):
        return np.full(len(latents), self.value, np.float32)

    def update(self, observations, latents):
        pass


class Other(Fixed):
    pass


def visit(bonus, codes=CODES):
    score = bonus.score(FRAMES, codes)
    bonus.update(FRAMES, codes)
    return score


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", "b", "a"], ["a_1", "b", "a_2"]),
        (["a", "a", "a"], ["a_1", "a_2", "a_3"]),
        (["a", "a_1", "a"], ["a_2", "a_1", "a_3"]),
    ],
)
def test_names_that_occur_several_times_get_numbers(names, expected):
    assert numbered(names) == expected


def test_two_parts_of_one_class_keep_their_own_figures():
    bonus = Product([HashCounts(width=0.5), FirstVisits(), HashCounts(width=6.0)])
    visit(bonus)
    figures = bonus.metrics()
    assert figures.keys() == {
        *("distinct_codes_1", "distinct_codes_2"),
        *("mean_HashCounts_1", "mean_FirstVisits", "mean_HashCounts_2"),
    }
    assert (figures["distinct_codes_1"], figures["distinct_codes_2"]) == (4, 3)


def test_figures_of_one_name_from_two_classes_are_both_kept():
    bonus = Sum([RND(), ICM(2)], [1.0, 1.0])
    bonus.begin(FRAMES, CODES, np.ones(B, bool))
    bonus.act(np.zeros(B, int))
    visit(bonus)
    figures = bonus.metrics()
    assert {
        "prediction_error_1",
        "prediction_error_2",
        "mean_RND",
        "mean_ICM",
        "share_RND",
        "share_ICM",
    } == set(figures)
    assert figures["prediction_error_2"] == bonus.parts[1].error


def test_a_combination_of_combinations_loses_nothing():
    inner = Product([Fixed(2.0), Other(3.0)]), Sum([Fixed(1.0), Fixed(3.0)], [1.0, 1.0])
    bonus = Sum([*inner, Fixed(5.0)], [1.0, 1.0, 1.0])
    visit(bonus)
    means = {
        "Fixed_3": 2,
        "Other": 3,
        "Fixed_1": 1,
        "Fixed_2": 3,
        "Fixed_4": 5,
        "Product": 6,
        "Sum": 4,
    }
    shares = {"Fixed_1": 1 / 4, "Fixed_2": 3 / 4, "Product": 6 / 15, "Sum": 4 / 15, "Fixed": 5 / 15}
    expected = {f"mean_{name}": value for name, value in means.items()}
    assert bonus.metrics() == pytest.approx(
        expected | {f"share_{name}": value for name, value in shares.items()}
    )


@pytest.mark.parametrize(
    ("values", "weights", "shares"),
    [
        ((1.0, 3.0), (1.0, 1.0), (0.25, 0.75)),
        ((1.0, 3.0), (3.0, 1.0), (0.5, 0.5)),
        ((0.0, 3.0), (9.0, 0.1), (0.0, 1.0)),
        ((-1.0, 1.0), (1.0, 1.0), (0.5, 0.5)),  # in size
        ((0.0, 0.0), (1.0, 1.0), (0.0, 0.0)),
    ],
)
def test_shares_of_a_sum_by_hand(values, weights, shares):
    bonus = Sum([Fixed(values[0]), Other(values[1])], weights)
    assert bonus.metrics() == {"mean_Fixed": 0, "mean_Other": 0, "share_Fixed": 0, "share_Other": 0}
    score = visit(bonus)
    figures = NormalizedBonus(bonus).metrics()
    assert (figures["share_Fixed"], figures["share_Other"]) == pytest.approx(shares)
    assert score == pytest.approx(np.dot(values, weights))


def test_means_are_those_of_all_states_up_to_the_horizon_and_then_of_the_newest():
    part, rng = Fixed(0.0), np.random.default_rng(0)
    bonus, values = Product([part]), rng.standard_normal(HORIZON // B)
    for step, value in enumerate(values):
        part.value = value
        visit(bonus)
        assert bonus.metrics()["mean_Fixed"] == pytest.approx(values[: step + 1].mean(), abs=1e-6)
    part.value = 7.0
    for _ in range(HORIZON // B):
        visit(bonus)
    assert bonus.means[0] == pytest.approx(7 + (values.mean() - 7) / np.e, rel=1e-2)


def test_a_batch_beyond_the_horizon_is_its_own_mean():
    part = Fixed(1.0)
    bonus, codes = Product([part]), np.zeros((3 * HORIZON, DIM), np.float32)
    for value in (1.0, 5.0):
        part.value = value
        visit(bonus, codes)
        assert bonus.means.tolist() == [value]


def test_what_is_scored_and_not_learned_from_leaves_the_curves_alone():
    bonus = Sum([Fixed(1.0)], [1.0])
    bonus.update(FRAMES, CODES)
    bonus.score(FRAMES, CODES)
    assert bonus.metrics() == {"mean_Fixed": 0, "share_Fixed": 0}
