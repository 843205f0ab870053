"""The unit, warm-up and weight of a normalised bonus against NumPy over the whole stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentrl.novelty import RND, HashCounts, NormalizedBonus
from latentrl.novelty.normalize import RunningVariance
from tests.latentrl.novelty.cases import B, on_disk, reaching, states, transitions


class Fixed:
    """A user's own bonus with given scores, one array per update."""

    number = 0.0

    def __init__(self, *scores):
        self.given, self.updates = [np.asarray(each) for each in scores], 0

    def score(self, transitions):
        return self.given[min(self.updates, len(self.given) - 1)]

    def update(self, transitions):
        self.updates += 1


class Keeping(Fixed):
    def state_dict(self):
        return {"number": torch.tensor(self.number)}

    def load_state_dict(self, state):
        self.number = float(state["number"])

    def metrics(self):
        return {"number": self.number}


def test_the_unit_is_the_standard_deviation_of_all_discounted_returns():
    rng = np.random.default_rng(0)
    raw = rng.gamma(1.0, 1.0, (50, B)).astype(np.float32)
    bonus = NormalizedBonus(Fixed(*raw), weight=0.1, gamma=0.9, warmup=0, clip=1.5)
    returns, stream = np.zeros(B), []
    for step, row in enumerate(raw):
        if step == 20:  # the end of an episode does not end the returns
            bonus.reset(np.arange(B), *states(0))
        unit = np.std(stream) if stream else 1.0
        expected = 0.1 * np.clip(row / unit, -1.5, 1.5)
        assert bonus.step(transitions(0)) == pytest.approx(expected, rel=1e-4)
        returns = 0.9 * returns + row
        stream.extend(returns)
    assert bonus.variance.std == pytest.approx(np.std(stream))
    assert bonus.metrics() == pytest.approx(
        {"raw_bonus": raw.mean(), "return_std": np.std(stream), "weight": 0.1}
    )


def test_the_raw_bonus_is_the_mean_of_the_steps_since_it_was_read():
    bonus = NormalizedBonus(Fixed([1.0, 3.0], [8.0], [2.0, 4.0], [0.5, 0.7]), warmup=9)
    assert bonus.metrics()["raw_bonus"] == 0
    bonus.step(transitions(0, 2))
    bonus.step(transitions(0, 1))
    assert bonus.metrics()["raw_bonus"] == 4
    assert bonus.metrics()["raw_bonus"] == 4
    bonus.step(transitions(0, 2))
    assert bonus.metrics()["raw_bonus"] == 3
    bonus.load_state_dict(bonus.state_dict())
    bonus.step(transitions(0, 2))
    assert bonus.metrics()["raw_bonus"] == pytest.approx(0.6)


def test_each_environment_keeps_its_return_while_others_reset():
    bonus = NormalizedBonus(Fixed([1.0, 2.0, 4.0], [8.0, 16.0]), gamma=0.5, warmup=0)
    bonus.step(transitions(0, 3))
    bonus.step(transitions(0, 3)[np.array([0, 2])])
    assert bonus.state_dict()["returns"].tolist() == [8.5, 2, 18]
    assert bonus.variance.std == pytest.approx(np.std([1, 2, 4, 8.5, 18]))


def test_returns_of_later_environments_start_at_zero():
    bonus = NormalizedBonus(Fixed([1.0], np.ones(3)), gamma=0.5, warmup=0)
    bonus.step(transitions(0, 3)[np.array([0])])
    bonus.step(transitions(0, 3))
    assert bonus.state_dict()["returns"].tolist() == [1.5, 1, 1]


def test_a_running_variance_is_that_of_the_whole_stream():
    rng, variance = np.random.default_rng(0), RunningVariance()
    parts = [rng.normal(1e3, 2, n) for n in (1, 7, 300)]
    assert variance.std == 1
    for part in parts:
        variance.update(part)
    assert variance.std == pytest.approx(np.concatenate(parts).std())
    assert variance.mean == pytest.approx(np.concatenate(parts).mean())


def test_during_warm_up_rewards_are_zero_and_the_bonus_learns():
    inner = HashCounts()
    bonus = NormalizedBonus(inner, weight=1.0, warmup=2 * B)
    scores = [bonus.step(reaching(states(seed)[1])) for seed in range(3)]
    assert [score.any() for score in scores] == [False, False, True]
    assert scores[0].dtype == np.float32
    assert inner.metrics()["distinct_latents"] == 3 * B
    assert bonus.variance.count == 3 * B


def test_the_weight_decreases_to_zero_over_its_steps():
    bonus = NormalizedBonus(Fixed(np.ones(B)), weight=0.5, warmup=0, decay_steps=4 * B)
    weights = []
    for _ in range(6):
        weights.append(bonus.current_weight)
        score = bonus.step(transitions(0))
    assert weights == [0.5, 0.375, 0.25, 0.125, 0, 0]
    assert not score.any()
    assert NormalizedBonus(Fixed(np.ones(B)), weight=0.5).current_weight == 0.5


def test_a_resumed_bonus_has_the_unit_the_weight_and_the_returns(tmp_path):
    def scaled():
        return NormalizedBonus(RND(learning_rate=3e-3, fraction=1.0), warmup=0, decay_steps=1000)

    bonus, restored = scaled(), scaled()
    for seed in range(5):
        bonus.step(transitions(seed))
    state = bonus.state_dict()
    restored.load_state_dict(on_disk(state, tmp_path))
    returns = state["returns"].tolist()
    for seed in range(3):
        assert np.array_equal(bonus.score(transitions(seed)), restored.score(transitions(seed)))
    assert restored.metrics()["return_std"] == bonus.metrics()["return_std"]
    assert (restored.count, restored.current_weight) == (5 * B, bonus.current_weight)
    for each in (bonus, restored):
        each.step(transitions(0))
    assert state["returns"].tolist() == returns
    after = bonus.state_dict()["returns"].tolist()
    assert after == restored.state_dict()["returns"].tolist() != returns


def test_the_state_of_a_users_own_bonus_is_kept():
    own = Keeping(np.ones(B))
    own.number = 3.0
    other = Keeping(np.ones(B))
    scaled = NormalizedBonus(other)
    scaled.load_state_dict(NormalizedBonus(own).state_dict())
    assert other.number == scaled.metrics()["number"] == 3
    plain = NormalizedBonus(Fixed(np.ones(B)))
    plain.load_state_dict(plain.state_dict())
    assert plain.metrics().keys() == {"raw_bonus", "return_std", "weight"}


@pytest.mark.parametrize(
    "options",
    [
        {"weight": -1.0},
        {"weight": float("nan")},
        {"warmup": float("nan")},
        {"gamma": 1.0},
        {"gamma": -0.1},
        {"clip": 0.0},
        {"warmup": -1},
        {"decay_steps": 0},
    ],
)
def test_values_out_of_range_are_refused(options):
    (name, value), *_ = options.items()
    message = rf"^NormalizedBonus needs weight >= 0.* got .*{name}={value}(,|$)"
    with pytest.raises(ValueError, match=message):
        NormalizedBonus(HashCounts(), **options)
