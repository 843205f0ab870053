"""Temporal distance: the quasimetric, pairs by brute force, and distances on a corridor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from latentrl.novelty import TemporalDistance
from latentrl.novelty.temporal_distance import distance
from latentrl.novelty.trajectories import Trajectories
from tests.latentrl.novelty.cases import reaching, reset


def test_the_distance_is_a_quasimetric():
    points = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    d = distance(points[:, None], points)
    assert d.diagonal().tolist() == pytest.approx([0.0] * 12, abs=1e-5)
    assert (d >= 0).all()
    assert not torch.allclose(d, d.T)
    for x, y, z in itertools.product(range(12), repeat=3):
        assert d[x, z] <= d[x, y] + d[y, z] + 1e-5
    x, y = torch.tensor([3.0, 0.0, 5.0, 1.0]), torch.tensor([0.0, 4.0, 2.0, 3.0])
    assert float(distance(x, y)) == 5 + 3
    assert float(distance(y, x)) == 5 + 2


def walked(window, lengths, discount=0.5):
    """Return trajectories of one environment; a state is (episode, time)."""
    trajectories = Trajectories(window, discount)
    for episode, length in enumerate(lengths):
        trajectories.start(np.array([0]))
        for time in range(length):
            trajectories.add(np.array([0]), np.array([[episode, time]], np.float32))
    return trajectories


def test_pairs_are_later_states_of_the_same_episode():
    trajectories = walked(10, (3, 1, 4, 5))  # the first three states are overwritten
    first, later = trajectories.pairs(4_000, torch.Generator().manual_seed(0))
    assert (first[:, 0] == later[:, 0]).all()
    steps = (later - first)[:, 1]
    assert steps.min() == 1
    assert set(map(tuple, first)) == {(2, t) for t in range(3)} | {(3, t) for t in range(4)}
    # From the first state of the last episode: 1, 2 and 3 steps at 1/2, 1/4, 1/8, the rest 4.
    own = steps[(first == [3, 0]).all(1)]
    assert np.bincount(own.astype(int), minlength=5)[1:] / len(own) == pytest.approx(
        [0.5, 0.25, 0.125, 0.125], abs=0.06
    )


def test_neighbours_alone_and_no_pairs():
    first, later = walked(10, (4, 4), 0.0).pairs(50, torch.Generator())
    assert (later - first)[:, 1].tolist() == [1] * 50
    assert walked(10, (1, 1, 1)).pairs(5, torch.Generator()) is None
    assert len(walked(4, (3, 3)).newest(3)) == 3


def test_a_visited_state_has_no_novelty_and_a_new_one_its_least_distance():
    bonus = TemporalDistance(interval=1_000)
    states = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    reset(bonus, states[:1])
    for state in states[1:3]:
        bonus.step(reaching(state[None]))
    points = bonus._embed(torch.from_numpy(states))
    expected = min(float(distance(points[i], points[3])) for i in range(3))
    assert bonus.score(reaching(states[3:])) == pytest.approx([expected], rel=1e-5)
    assert bonus.score(reaching(states[1:2])) == pytest.approx([0], abs=1e-5)
    reset(bonus, states[3:])  # a new episode does not hold them
    assert bonus.score(reaching(states[1:2]))[0] > 0.01


def test_distances_follow_time_and_not_looks():
    """Places of a ring look alike in pairs that are far apart, as two rooms do."""
    rng = np.random.default_rng(0)
    places = rng.standard_normal((16, 8)).astype(np.float32)
    places[8:] = places[:8] + 0.3 * rng.standard_normal((8, 8)).astype(np.float32)
    bonus = TemporalDistance(interval=32, discount=0.7, seed=1)
    at = rng.integers(16, size=8)
    reset(bonus, places[at])
    for _ in range(640):
        at = (at + rng.choice([-1, 1], size=8)) % 16
        bonus.step(reaching(places[at]))
    points = bonus._embed(torch.from_numpy(places))
    d = distance(points[:, None], points).numpy()
    beside = np.mean([d[i, (i + 1) % 16] for i in range(16)])
    across = np.mean([d[i, (i + 8) % 16] for i in range(16)])
    looks = np.linalg.norm(places[:8] - places[8:], axis=1).mean()
    assert looks < np.linalg.norm(places - np.roll(places, 1, 0), axis=1).mean()
    assert across > 1.5 * beside
    assert bonus.metrics()["contrastive_loss"] < 2 * np.log(128)


def test_invalid_arguments():
    with pytest.raises(ValueError, match=r"a discount in \[0, 1\), got features=32, .*=1.0"):
        TemporalDistance(discount=1.0)
    with pytest.raises(ValueError, match=r"interval and gradient_steps >= 1, .* interval=0"):
        TemporalDistance(interval=0)
    bonus = TemporalDistance(window=8)
    reset(bonus, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="a window of 9 states cannot load that of 8 states"):
        TemporalDistance(window=9).load_state_dict(bonus.state_dict())
