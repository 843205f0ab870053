"""Intrinsic curiosity: features that identify the action, predictable steps, one pass each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.novelty import ICM, make_bonus
from tests.latentrl.novelty.cases import ACTIONS, B, between, states, transitions, visited


def walk(bonus, steps, count=16, seed=0):
    """Walk over a torus of 5 x 5 cells; the four actions are the four directions."""
    rng, moves = np.random.default_rng(seed), np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    cells = rng.integers(0, 5, (count, 2))

    def states_():
        angles = 2 * np.pi * cells / 5
        latents = np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)
        return np.zeros((count, 1), np.uint8), latents

    for _ in range(steps):
        before, actions = states_(), rng.integers(0, 4, count)
        cells = (cells + moves[actions]) % 5
        step = between(before, states_(), actions)
        score = bonus.score(step)
        yield before[1], actions, step.next_latents, score
        bonus.update(step)


def reading(bonus, before, actions, after, score):
    """Return the inverse model's accuracy, and the unexplained fraction of the variance."""
    networks = bonus.networks(torch.from_numpy(after))
    with torch.no_grad():
        left, right = (
            networks["features"](networks["normalizer"](torch.from_numpy(x)))
            for x in (before, after)
        )
        guess = networks["inverse_model"](torch.cat([left, right], 1)).argmax(1).numpy()
    return (guess == actions).mean(), 2 * score.mean() / float(right.var(0, correction=0).mean())


def test_the_inverse_model_reads_the_action_and_the_forward_model_predicts_the_step():
    bonus = ICM(4, learning_rate=3e-3)
    right, unexplained = np.array([reading(bonus, *step) for step in walk(bonus, 300)]).T
    assert right[:5].mean() < 0.6
    assert right[-20:].mean() > 0.95
    assert unexplained[-20:].mean() < 0.15 * unexplained[:20].mean()
    assert bonus.metrics()["prediction_error"] > 0


def test_the_score_is_the_error_of_the_step_under_the_action_taken():
    bonus = visited(lambda: ICM(ACTIONS, learning_rate=3e-3))
    before, after, actions = states(2), states(1), np.arange(B) % ACTIONS
    networks = bonus.networks(torch.from_numpy(after[1]))
    with torch.no_grad():
        left, right = (
            networks["features"](networks["normalizer"](torch.from_numpy(latents)))
            for _, latents in (before, after)
        )
        taken = torch.cat([left, torch.eye(ACTIONS)[actions]], 1)
        expected = 0.5 * (networks["forward_model"](taken) - right).square().mean(1)
    assert bonus.score(between(before, after)) == pytest.approx(expected.numpy(), rel=1e-5)
    other = bonus.score(between(before, after, np.zeros(B, int)))
    assert not np.allclose(other, expected)


def test_a_step_runs_each_network_once():
    bonus, calls = ICM(ACTIONS), []
    networks = bonus.networks(torch.zeros(1, 4))
    for name in ("features", "forward_model", "inverse_model"):
        networks[name].register_forward_hook(
            lambda network, inputs, output, name=name: calls.append((name, len(output)))
        )
    bonus.step(transitions(0))
    both = [("features", B)] * 2
    assert calls == [*both, ("forward_model", B), ("inverse_model", B)]


@pytest.mark.parametrize(
    "actions",
    [np.array([0.5, 1.0]), np.array([[0, 1], [1, 0]]), np.array([0, 3]), np.array([-1, 0])],
)
def test_other_actions_are_refused(actions):
    message = r"ICM is for discrete actions \(B,\), here 0 to 2, got (int|float)64 \["
    step = between(states(0, 2), states(1, 2), actions)
    for call in (ICM(ACTIONS).score, ICM(ACTIONS).update, ICM(ACTIONS).step):
        with pytest.raises(ValueError, match=message):
            call(step)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"actions": 1},
            "ICM needs at least 2 discrete actions, .* got actions=1, features=64, inverse_weight",
        ),
        ({"actions": 4, "features": 0}, "got actions=4, features=0"),
        ({"actions": 4, "inverse_weight": 1.0}, r"inverse_weight=1\.0"),
        ({"actions": 4, "inverse_weight": 0.0}, r"inverse_weight=0\.0"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ICM(**options)


def test_actions_that_do_not_count_from_0_are_refused_by_name():
    with pytest.raises(ValueError, match=r"counts actions from 0, and these are Discrete\(3"):
        make_bonus("icm", lrl.random((8,), 2), spaces.Discrete(3, start=5))
