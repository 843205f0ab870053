"""Products and sums by hand, and the metrics of their components whatever these are called."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentrl.novelty import ICM, RND, FirstVisits, HashCounts, NormalizedBonus, Product, Sum
from latentrl.novelty.composite import HORIZON, numbered
from tests.latentrl.novelty.cases import B, start, transitions


class Fixed:
    """A user's own bonus with given scores."""

    def __init__(self, value):
        self.value, self.updates = value, 0

    def score(self, transitions):
        return np.zeros(len(transitions)) + self.value

    def update(self, transitions):
        self.updates += 1


class Other(Fixed):
    pass


class Keeping(Fixed):
    def state_dict(self):
        return {"value": torch.tensor(self.value)}

    def load_state_dict(self, state):
        self.value = float(state["value"])

    def metrics(self):
        return {"value": self.value}


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
def test_names_that_occur_several_times_are_numbered(names, expected):
    assert numbered(names) == expected


def test_product_and_sum_by_hand():
    bonuses = [Fixed(np.array([1.0, 2.0, 3.0])), Fixed(np.array([0.5, 0.0, -1.0]))]
    batch = transitions(0, 3)
    assert Product(bonuses).step(batch).tolist() == [0.5, 0, -3]
    bonus = Sum(bonuses, [2.0, 10.0])
    assert bonus.step(batch).tolist() == [7, 4, -4]
    assert bonus.score(batch).dtype == np.float32
    assert [each.updates for each in bonuses] == [2, 2]
    assert bonus.metrics() == pytest.approx(
        {
            "mean_Fixed_1": 2.0,
            "mean_Fixed_2": -1 / 6,
            "fraction_Fixed_1": 12 / 17,
            "fraction_Fixed_2": 5 / 17,
        }
    )


def test_the_state_of_a_users_own_component_is_kept():
    bonus = Product([Keeping(4.0), FirstVisits()])
    start(bonus)
    assert bonus.state_dict() == {"0.value": torch.tensor(4.0)}
    bonus.load_state_dict({"0.value": torch.tensor(5.0)})
    assert bonus.metrics() == {"value": 5, "mean_Keeping": 0, "mean_FirstVisits": 0}


def test_two_components_of_one_class_keep_their_own_metrics():
    bonus = Product([HashCounts(width=0.5), FirstVisits(), HashCounts(width=1e6)])
    bonus.step(transitions(0))
    metrics = bonus.metrics()
    assert metrics.keys() == {
        *("distinct_latents_1", "distinct_latents_2"),
        *("mean_HashCounts_1", "mean_FirstVisits", "mean_HashCounts_2"),
    }
    assert (metrics["distinct_latents_1"], metrics["distinct_latents_2"]) == (B, 1)


def test_metrics_of_one_name_from_two_classes_are_both_kept():
    bonus = Sum([RND(fraction=1.0), ICM(3)], [1.0, 1.0])
    bonus.step(transitions(0))
    metrics = bonus.metrics()
    assert set(metrics) == {
        *("prediction_error_1", "prediction_error_2", "mean_RND", "mean_ICM"),
        *("fraction_RND", "fraction_ICM"),
    }
    assert metrics["prediction_error_2"] == bonus.bonuses[1].error > 0


def test_a_combination_of_combinations_loses_nothing():
    inner = Product([Fixed(2.0), Other(3.0)]), Sum([Fixed(1.0), Fixed(3.0)], [1.0, 1.0])
    bonus = Sum([*inner, Fixed(5.0)], [1.0, 1.0, 1.0])
    bonus.step(transitions(0))
    means = {"Fixed_3": 2, "Other": 3, "Fixed_1": 1, "Fixed_2": 3, "Fixed_4": 5}
    means |= {"Product": 6, "Sum": 4}
    fractions = {"Fixed_1": 1 / 4, "Fixed_2": 3 / 4}
    fractions |= {"Product": 6 / 15, "Sum": 4 / 15, "Fixed": 5 / 15}
    expected = {f"mean_{name}": value for name, value in means.items()}
    expected |= {f"fraction_{name}": value for name, value in fractions.items()}
    assert bonus.metrics() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "weights", "fractions"),
    [
        ((1.0, 3.0), (1.0, 1.0), (0.25, 0.75)),
        ((1.0, 3.0), (3.0, 1.0), (0.5, 0.5)),
        ((0.0, 3.0), (9.0, 0.1), (0.0, 1.0)),
        ((-1.0, 1.0), (1.0, 1.0), (0.5, 0.5)),  # of magnitudes
        ((0.0, 0.0), (1.0, 1.0), (0.0, 0.0)),
    ],
)
def test_fractions_of_a_sum_by_hand(values, weights, fractions):
    bonus = Sum([Fixed(values[0]), Other(values[1])], weights)
    names = "mean_Fixed", "mean_Other", "fraction_Fixed", "fraction_Other"
    assert bonus.metrics() == dict.fromkeys(names, 0)
    score = bonus.step(transitions(0))
    metrics = NormalizedBonus(bonus).metrics()
    assert (metrics["fraction_Fixed"], metrics["fraction_Other"]) == pytest.approx(fractions)
    assert score == pytest.approx(np.full(B, np.dot(values, weights)))


def test_means_are_over_all_transitions_up_to_the_horizon_and_then_over_the_newest():
    component, rng, steps = Fixed(0.0), np.random.default_rng(0), HORIZON // 4
    bonus, values = Product([component]), rng.standard_normal(steps)
    for step, value in enumerate(values):
        component.value = value
        bonus.step(transitions(0, 4))
        assert bonus.metrics()["mean_Fixed"] == pytest.approx(values[: step + 1].mean(), abs=1e-6)
    component.value = 7.0
    for _ in range(steps):
        bonus.step(transitions(0, 4))
    assert bonus.means[0] == pytest.approx(7 + (values.mean() - 7) / np.e, rel=1e-2)


def test_the_mean_of_a_batch_beyond_the_horizon_is_its_own():
    component = Fixed(1.0)
    bonus, large = Product([component]), transitions(0, 3 * HORIZON)
    for value in (1.0, 5.0):
        component.value = value
        bonus.step(large)
        assert bonus.means.tolist() == [value]


def test_scores_without_an_update_leave_the_means_alone():
    bonus = Sum([Fixed(1.0)], [1.0])
    bonus.score(transitions(0))
    assert bonus.metrics() == {"mean_Fixed": 0, "fraction_Fixed": 0}


def test_a_combination_needs_bonuses_and_their_weights():
    with pytest.raises(TypeError, match="Product takes a list of bonuses, got HashCounts"):
        Product(HashCounts())
    with pytest.raises(ValueError, match="a combination needs at least one bonus"):
        Product([])
    with pytest.raises(ValueError, match="a sum of 2 bonuses needs as many weights, got 1"):
        Sum([HashCounts(), FirstVisits()], [1.0])
