"""Contracts of every bonus: pure scores, one step, state, seeds; and a user's own bonuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentrl.novelty import BONUSES, Bonus, HashCounts, NormalizedBonus, Product, make_bonus
from latentrl.novelty.base import AdaptedBonus, as_bonus, checked
from latentrl.types import Novelty
from tests.latentrl.novelty.cases import (
    EVERY,
    QUICK,
    B,
    between,
    named,
    on_disk,
    same_state,
    start,
    states,
    tiny_model,
    transitions,
    visited,
)

EACH = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


# Score, update and step.


@EACH
def test_scores_are_finite_float32_and_change_no_state(make):
    bonus = make()
    assert isinstance(bonus, Novelty)
    start(bonus)
    for seed in (0, 1, 0):
        before = bonus.state_dict()
        first, second = bonus.score(transitions(seed)), bonus.score(transitions(seed))
        assert first.dtype == np.float32
        assert first.shape == (B,)
        assert np.isfinite(first).all()
        assert np.array_equal(first, second)
        assert same_state(before, bonus.state_dict())
        bonus.update(transitions(seed))


@EACH
def test_a_step_is_a_score_and_an_update_whether_it_is_scored_or_not(make):
    stepped, parted, updated = make(), make(), make()
    for bonus in (stepped, parted, updated):
        start(bonus)
    for seed in (0, 1, 0, 2, 0, 1):
        scores = parted.score(transitions(seed))
        parted.update(transitions(seed))
        updated.update(transitions(seed))
        assert stepped.step(transitions(seed)) == pytest.approx(scores, rel=1e-5, abs=1e-7)
        if seed == 2:
            for bonus in (stepped, parted, updated):
                bonus.reset(np.array([1, 3]), *states(5, 2))
    assert same_state(stepped.state_dict(), parted.state_dict())
    assert same_state(stepped.state_dict(), updated.state_dict())
    assert np.array_equal(stepped.score(transitions(1)), updated.score(transitions(1)))


@pytest.mark.parametrize("make", QUICK.values(), ids=QUICK)
def test_the_bonus_of_visited_states_falls_and_that_of_others_does_not(make):
    bonus = make()
    start(bonus)
    first = bonus.step(transitions(0))
    for _ in range(40):
        bonus.step(transitions(0))
    known, unknown = bonus.score(transitions(0)), bonus.score(transitions(1))
    assert (known < first).all()
    assert known.mean() < 0.5 * min(first.mean(), unknown.mean())


@EACH
def test_some_environments_score_as_in_the_full_batch(make):
    bonus, rows = visited(make, times=3), np.array([1, 4])
    full = bonus.score(transitions(1))
    assert bonus.score(transitions(1)[rows]) == pytest.approx(full[rows], rel=1e-5)
    bonus.update(transitions(1)[rows])
    assert bonus.score(transitions(2)).shape == (B,)


@EACH
def test_fewer_environments_may_follow(make):
    bonus = visited(make, times=2)
    start(bonus, count=B - 2)
    assert bonus.step(transitions(2, B - 2)).shape == (B - 2,)


@pytest.mark.parametrize("make", [QUICK["FirstVisits"], QUICK["Elliptical"]])
def test_later_environments_do_not_disturb_earlier_ones(make):
    bonus, rows = make(), np.array([0, 2])
    fresh = bonus.step(transitions(0)[rows])
    score = bonus.score(transitions(0))
    assert (score[rows] < fresh).all()
    assert score[1] == make().score(transitions(0))[1]


@EACH
def test_metrics_are_finite_floats(make):
    metrics = visited(make, times=2).metrics()
    assert all(isinstance(value, float) and np.isfinite(value) for value in metrics.values())


@EACH
def test_arrays_may_be_read_only_or_reversed_views(make):
    bonus, other = make(), make()
    frames, latents = states(0)
    views = frames[:, :, ::-1], latents[::-1]
    for view in views:
        view.flags.writeable = False
    copies = tuple(np.ascontiguousarray(view) for view in views)
    for each, arrays in ((bonus, views), (other, copies)):
        each.reset(np.arange(B), *arrays)
    scores = bonus.step(between(views, views))
    assert scores == pytest.approx(other.step(between(copies, copies)), rel=1e-5)


# State.


@EACH
def test_the_state_restores_the_scores_of_a_new_episode(make, tmp_path):
    bonus = visited(make)
    state = on_disk(bonus.state_dict(), tmp_path)
    restored, ready = make(), visited(make, times=1)
    ready.step(transitions(1))
    others = (bonus, restored, ready)
    for other in others[1:]:
        other.load_state_dict(state)
        assert same_state(state, other.state_dict())
    for other in others:
        start(other)
    for seed in (0, 1):
        first, *rest = (other.score(transitions(seed)) for other in others)
        assert all(np.array_equal(first, scores) for scores in rest)
    for other in others:
        for seed in (2, 0, 3):
            other.step(transitions(seed))
    first, *rest = (other.score(transitions(1)) for other in others)
    assert all(np.array_equal(first, scores) for scores in rest)


@EACH
def test_a_state_is_a_snapshot(make):
    bonus = visited(make, times=3)
    state = bonus.state_dict()
    kept = {key: value.clone() for key, value in state.items()}
    other = make()
    other.load_state_dict(state)
    for each in (bonus, other):
        start(each)
        each.step(transitions(1))
    assert same_state(state, kept)


@EACH
def test_a_state_from_before_the_first_step_can_be_written_and_loaded(make, tmp_path):
    bonus, other = make(), visited(make, times=2)
    other.load_state_dict(on_disk(bonus.state_dict(), tmp_path))
    for each in (bonus, other):
        start(each)
    assert np.array_equal(bonus.score(transitions(0)), other.score(transitions(0)))


@EACH
def test_a_seed_repeats_and_the_global_generators_are_left_alone(make):
    first = visited(make)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global one is what must not matter
    second = make()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    start(second)
    for _ in range(10):
        second.step(transitions(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first.score(transitions(1)), second.score(transitions(1)))


# The registry.


def test_every_name_builds_a_bonus_for_a_plain_encoder():
    assert set(BONUSES) >= {
        *("counts", "simhash", "elliptical", "rnd", "icm", "reconstruction"),
        *("token_counts", "position_token_counts", "token_counts+counts"),
    }
    for name in BONUSES:
        assert isinstance(named(name), Bonus)


def test_counts_are_the_product_of_lifelong_and_first_visits():
    counts, product = named("counts"), Product([HashCounts(), QUICK["FirstVisits"]()])
    for bonus in (counts, product):
        start(bonus)
    for seed in (0, 1, 0, 2, 2):
        scores = counts.step(transitions(seed))
        assert np.array_equal(scores, product.step(transitions(seed)))
    counts.reset(np.arange(B), *states(1000))
    assert counts.score(transitions(0)) == pytest.approx(np.full(B, 3**-0.5))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown novelty 'newness'; known: adaptive, counts"):
        make_bonus("newness", tiny_model())


# A user's own bonus.


class Own:
    """The least that a bonus can be."""

    def score(self, transitions):
        return np.ones(len(transitions))

    def update(self, transitions):
        self.last = transitions


class Complete(Own):
    """Every optional method, and yet no subclass of Bonus."""

    number = 0.0

    def reset(self, env_ids, observations, latents):
        self.started = env_ids.tolist()

    def step(self, transitions):
        return np.full(len(transitions), 7.0)

    def state_dict(self):
        return {"number": torch.tensor(self.number)}

    def load_state_dict(self, state):
        self.number = float(state["number"])

    def metrics(self):
        return {"number": self.number}


def test_a_subclass_needs_score_and_update_alone():
    class Least(Bonus):
        score, update = Own.score, Own.update

    bonus = Least()
    start(bonus)
    bonus.load_state_dict(bonus.state_dict())
    assert bonus.step(transitions(0)).tolist() == [1] * B
    assert bonus.state_dict() == bonus.metrics() == {}
    assert as_bonus(bonus) is bonus


def test_a_plain_object_is_adapted_with_and_without_optional_methods():
    least, complete = as_bonus(Own()), as_bonus(Complete())
    for bonus in (least, complete):
        start(bonus)
        bonus.load_state_dict({"number": torch.tensor(5.0)})
    assert isinstance(least, AdaptedBonus)
    batch = transitions(0)
    assert (least.step(batch).tolist(), complete.step(batch).tolist()) == ([1] * B, [7] * B)
    assert least.novelty.last is batch
    assert complete.novelty.started == list(range(B))
    assert (least.state_dict(), least.metrics()) == ({}, {})
    assert complete.state_dict() == {"number": torch.tensor(5.0)}
    assert complete.metrics() == {"number": 5}


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("resets", "reset"),
        ("on_reset", "reset"),
        ("scores", "score"),
        ("updates", "update"),
        ("load_state", "load_state_dict"),  # words: ok
        ("state_dic", "state_dict"),
        ("metric", "metrics"),
    ],
)
def test_a_misspelt_method_is_refused(wrong, meant):
    kind = type("Mine", (Own,), {wrong: lambda self: None})
    message = rf"^Mine\.{wrong} is no method of a bonus: did you mean '{meant}'\? A bonus has"
    if meant in ("score", "update"):
        kind = type("Mine", (), {wrong: lambda self: None})
    with pytest.raises(TypeError, match=message):
        as_bonus(kind())
    with pytest.raises(TypeError, match=message):
        type("Mine", (Bonus,), {wrong: lambda self: None})


def test_other_methods_and_attributes_are_the_users_own():
    own = {"train": lambda self: None, "step_size": 3, "_resets": lambda self: None, "scores": []}
    assert as_bonus(type("Mine", (Own,), own)()).step(transitions(0)).tolist() == [1] * B
    type("Mine", (Bonus,), {**own, "steps": lambda self: None, "step": lambda self: None})


@pytest.mark.parametrize("thing", [object(), 3, "counts"], ids=lambda thing: type(thing).__name__)
def test_what_is_no_novelty_bonus(thing):
    message = rf"has score\(transitions\) and update\(transitions\); {type(thing).__name__} lacks"
    for adapt in (as_bonus, NormalizedBonus, lambda thing: Product([thing])):
        with pytest.raises(TypeError, match=message):
            adapt(thing)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.array([1.0, np.nan, 1.0]), r"^Own\.score returned NaN or infinity$"),
        (np.array([1.0, np.inf, 1.0]), r"^Own\.score returned NaN or infinity$"),
        (np.ones((3, 1)), r"^Own\.score must return 3 bonuses, got shape \(3, 1\)$"),
        (np.ones(2), r"^Own\.score must return 3 bonuses, got shape \(2,\)$"),
        (1.0, r"^Own\.score must return 3 bonuses, got shape \(\)$"),
    ],
)
def test_wrong_scores_are_refused_by_the_name_of_the_class(scores, message):
    own = Own()
    own.score = lambda transitions: scores
    with pytest.raises(ValueError, match=message):
        checked(as_bonus(own), scores, 3)
    for scaled in (NormalizedBonus(own), Product([own])):
        for call in (scaled.score, scaled.step):
            with pytest.raises(ValueError, match=message):
                call(transitions(0, 3))


def test_icm_names_what_it_needs():
    with pytest.raises(ValueError, match=r"'icm' needs discrete actions, and these are None; use"):
        make_bonus("icm", tiny_model())


@pytest.mark.parametrize("use", [as_bonus, NormalizedBonus])
def test_a_class_is_no_bonus(use):
    with pytest.raises(TypeError, match=r"an object, not the class HashCounts: make one, HashCoun"):
        use(HashCounts)
