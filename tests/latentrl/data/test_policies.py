"""Exploration policies stay in the action space, vary and follow the seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.data.policies import EXPLORERS

BATCHED = [
    spaces.Box(-1, 2, (4, 3), np.float32),
    spaces.MultiDiscrete([5] * 4),
    spaces.MultiDiscrete([[5, 2]] * 4),
    spaces.Box(0, 1, (4, 3), np.int8),
    spaces.Box(-np.inf, np.inf, (4, 3), np.float32),
    spaces.Box(0, np.inf, (4, 3), np.float32),
]


@pytest.mark.parametrize("space", BATCHED, ids=str)
@pytest.mark.parametrize("name", list(EXPLORERS))
def test_actions_stay_in_the_space_vary_and_follow_the_seed(
    name: str, space: spaces.Space[Any]
) -> None:
    def run(seed: int) -> list[Any]:
        policy = EXPLORERS.build({"name": name}, action_space=space, seed=seed)
        return [policy(None) for _ in range(60)]

    actions = run(1)
    assert all(space.contains(action) for action in actions)
    assert len({action.tobytes() for action in actions}) > 5
    np.testing.assert_array_equal(actions, run(1))
    assert not np.array_equal(actions, run(2))


def test_brownian_actions_are_correlated_and_cover_the_space() -> None:
    box = spaces.Box(-1, 1, (200, 1), np.float32)
    policy = EXPLORERS.build({"name": "brownian"}, action_space=box, seed=0)
    walk = np.stack([policy(None) for _ in range(100)])[..., 0]
    assert np.corrcoef(walk[:-1].ravel(), walk[1:].ravel())[0, 1] > 0.8
    counts, _ = np.histogram(walk, bins=4, range=(-1, 1))
    assert counts.min() > 0.2 * walk.size


def test_brownian_repeats_actions_without_bounds() -> None:
    box = spaces.Box(-np.inf, np.inf, (200, 1), np.float32)
    policy = EXPLORERS.build({"name": "brownian"}, action_space=box, seed=0)
    actions = np.stack([policy(None) for _ in range(100)])
    assert abs((actions[1:] == actions[:-1]).mean() - 0.75) < 0.02
    assert abs(actions.std() - 1) < 0.1, "as the space samples them"


def test_brownian_repeats_discrete_actions() -> None:
    policy = EXPLORERS.build(
        {"name": "brownian"}, action_space=spaces.MultiDiscrete([50] * 200), seed=0
    )
    actions = np.stack([policy(None) for _ in range(100)])
    counts, _ = np.histogram(actions, bins=5)
    assert abs(counts / actions.size - 0.2).max() < 0.02
    assert (
        abs((actions[1:] == actions[:-1]).mean() - 0.755) < 0.02
    )  # repeated, or sampled again: 0.75 + 0.25 / 50


SEEN = np.arange(200)[:, None] + np.arange(100)
"""Observations of 200 environments in 100 steps, none of which equals the one before."""


@pytest.mark.parametrize("form", [lambda seen: seen, lambda seen: {"a": seen, "b": [None] * 200}])
@pytest.mark.parametrize("space", [spaces.MultiDiscrete([50] * 200), spaces.Box(0, 1, (200, 1))])
def test_brownian_resamples_actions_that_change_nothing(
    form: Any, space: spaces.Space[Any]
) -> None:
    def run(observations: Any) -> Any:
        policy = EXPLORERS.build({"name": "brownian"}, action_space=space, seed=0)
        buffer = np.zeros(200)  # as a vector environment that writes into one array
        actions = []
        for observation in observations:
            buffer[:] = observation
            actions.append(policy(form(buffer)))
        return np.stack(actions).reshape(100, 200)

    free = run(SEEN.T)
    stuck = np.arange(200) < 100
    half = run(np.where(stuck, 7, SEEN.T))
    correlation = [np.corrcoef(a[:-1].ravel(), a[1:].ravel())[0, 1] for a in np.split(half, 2, 1)]
    assert abs(correlation[0]) < 0.05
    assert correlation[1] > 0.7
    # Environments that do not get stuck act as if no other did.
    if isinstance(space, spaces.MultiDiscrete):
        np.testing.assert_array_equal(half[:, 100:], free[:, 100:])
    np.testing.assert_array_equal(free, run([np.nan] * 100))
