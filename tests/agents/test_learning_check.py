"""The warning of an agent that has not learned."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest

from agents import learning_check
from agents.learning_check import LearningCheck
from tests.agents.small import tiny_train

NOT_RISEN = "the return has not risen: the last 100 training episodes have a mean of "


def started(n_envs=1):
    check = LearningCheck()
    check.model = SimpleNamespace(ep_info_buffer=deque(maxlen=100))
    step(check, [None] * n_envs)
    return check


def step(check, returns):
    """Step all environments; None is no end of an episode."""
    infos = [{} if number is None else {"episode": {"r": number}} for number in returns]
    check.model.ep_info_buffer.extend(info["episode"] for info in infos if info)
    check.locals = {"infos": infos, "dones": [bool(info) for info in infos]}
    assert check._on_step()


def checked(returns):
    """A check of one environment that saw episodes with these returns."""
    check = started()
    for number in returns:
        step(check, [number])
    return check


@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [
        ([390] * 20, [284] * 100, "284, the first 20 had 390; docs/guide/training.md"),
        ([0] * 20, [0] * 100, "0, the first 20 had 0"),
        ([-1, 1] * 10, [-1, 1.01] * 50, "0.005, the first 20 had 0"),
        ([5] * 20, [9] * 30 + [5] * 100, "5, the first 20 had 5"),
    ],
)
def test_returns_that_do_not_rise_are_named(first, last, numbers):
    with pytest.warns(UserWarning, match=NOT_RISEN + numbers):
        checked([*first, *last]).warn()


@pytest.mark.parametrize(
    "returns", [[0] * 119, [0] * 20 + [1] * 100, [-1, 1] * 10 + [0, 2] * 50, []]
)
def test_others_are_not(returns):
    checked(returns).warn()


def test_a_validation_that_is_better_is_a_success():
    """A policy that explores may hide what its most probable actions reach."""
    checked([0, 1, 1, 0] * 60).warn([1.0] * 16)
    with pytest.warns(UserWarning, match=NOT_RISEN):
        checked([0, 1, 1, 0] * 60).warn([1.0, 0.0] * 8)


@pytest.mark.parametrize(("size", "count"), [(4e-7, 1), (0.0, 0), (1e-17, 0), (0.1, 0)])
def test_returns_that_are_too_small_are_named_once(size, count, capsys):
    checked([size, 0.0] * 60)
    assert (
        capsys.readouterr().out.count(f"so far are at most {size:.1g} in size, too small") == count
    )


def test_short_episodes_count_no_more_than_long_ones():
    """Four environments end at once with 1, four others ten times later with 0."""
    check = started(n_envs=8)
    for time in range(1, 201):
        step(check, [1] * 4 + [0 if time % 10 == 0 else None] * 4)
    check.model.ep_info_buffer.extend({"r": 0} for _ in range(100))
    with pytest.warns(UserWarning, match=r"the first 24 had 0\.5"):
        check.warn()


def test_a_new_training_is_checked_and_a_resumed_one_is_not(encoder, monkeypatch):
    monkeypatch.setattr(learning_check, "FIRST", 1)
    monkeypatch.setattr(learning_check, "LEAST", 1)
    monkeypatch.setattr(learning_check, "_error", lambda one, other: float("inf"))
    with pytest.warns(UserWarning, match="the return has not risen"):
        run = tiny_train(encoder)
    tiny_train(encoder, out=run.path, resume=True, timesteps=256)


@pytest.mark.parametrize("ended", [False, True])
def test_a_training_without_the_end_of_an_episode_says_so_once(ended, monkeypatch, capsys):
    monkeypatch.setattr(learning_check, "ENDLESS", 4)
    check = started(2)
    step(check, [1.0 if ended else None, None])
    for _ in range(9):
        step(check, [None, None])
    found = capsys.readouterr().out
    message = "no episode has ended in 4 timesteps of each environment"
    assert found.count(message) == (0 if ended else 1)
