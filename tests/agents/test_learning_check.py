"""The warning of an agent that has not learned."""

from __future__ import annotations

import warnings
from collections import deque
from types import SimpleNamespace

import pytest

from agents import learning_check
from agents.learning_check import LearningCheck
from tests.agents.small import tiny_train

NOT_LEARNED = "the agent has not learned: its last 100 training episodes have a mean return of "


def checked(returns):
    """A check that saw episodes with these returns, one at each step."""
    check = LearningCheck()
    check.model = SimpleNamespace(ep_info_buffer=deque(maxlen=100))
    for number in returns:
        episode = {"r": number}
        check.model.ep_info_buffer.append(episode)
        check.locals = {"infos": [{}, {"episode": episode}]}
        assert check._on_step()
    return check


@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [
        ([390] * 20, [284] * 100, "284, its first 20 had 390; docs/guide/training.md"),
        ([0] * 20, [0] * 100, "0, its first 20 had 0"),
        ([-1, 1] * 10, [-1, 1.01] * 50, "0.005, its first 20 had 0"),
        ([5] * 20, [9] * 30 + [5] * 100, "5, its first 20 had 5"),
    ],
)
def test_returns_that_do_not_rise_are_named(first, last, numbers):
    with pytest.warns(UserWarning, match=NOT_LEARNED + numbers):
        checked([*first, *last]).warn()


@pytest.mark.parametrize(
    "returns", [[0] * 119, [0] * 20 + [1] * 100, [-1, 1] * 10 + [0, 2] * 50, []]
)
def test_others_are_not(returns):
    checked(returns).warn()


@pytest.mark.parametrize("resumed", [False, True])
def test_a_new_training_is_checked_and_a_resumed_one_is_not(resumed, encoder, monkeypatch):
    monkeypatch.setattr(learning_check, "FIRST", 1)
    monkeypatch.setattr(learning_check, "LEAST", 1)
    monkeypatch.setattr(learning_check, "_error", lambda one, other: float("inf"))
    with pytest.warns(UserWarning, match="the agent has not learned"):
        run = tiny_train(encoder)
    if resumed:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tiny_train(encoder, out=run.path, resume=True, timesteps=256)
