"""Past timesteps in a ring buffer, beside lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.good_episodes import GoodEpisodes, OpenEpisodes, discounted_returns

SPACES = spaces.Box(-np.inf, np.inf, (3,), np.float32), spaces.Discrete(5)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def episode(length, rng):
    observations = rng.normal(size=(length, 3)).astype(np.float32)
    return observations, rng.integers(5, size=length), rng.normal(size=length)


def rows(part):
    """Observation, action and return of each timestep of a part."""
    tensors = (np.atleast_2d(part[name].numpy().T).T for name in part)
    return np.concatenate(list(tensors), axis=1)


def filled(*lengths, size=7, seed=0):
    """A buffer, and all rows that it was given, the newest one last."""
    rng = np.random.default_rng(seed)
    buffer, given = GoodEpisodes(*SPACES, size), []
    for length in lengths:
        observations, actions, returns = episode(length, rng)
        buffer.add(observations, actions, returns)
        given += np.column_stack([observations, actions, returns]).tolist()
    return buffer, np.array(given, np.float32)


@pytest.mark.parametrize("lengths", [(), (3,), (3, 4), (3, 6), (7,), (5, 5, 5, 1)])
def test_the_newest_timesteps_stay(lengths):
    buffer, given = filled(*lengths)
    part, notes = buffer.part()
    assert len(buffer) == min(7, sum(lengths))
    assert notes == {}
    np.testing.assert_array_equal(rows(part), given[-7:].reshape(-1, 5))


def test_samples_are_timesteps_that_are_kept():
    buffer, given = filled(3, 6)
    drawn = buffer.sample(200, np.random.default_rng(1))
    drawn = np.column_stack(drawn)
    assert {tuple(row) for row in drawn} == {tuple(row) for row in given[-7:]}


@pytest.mark.parametrize("lengths", [(), (4,), (3, 6)])
def test_a_part_is_loaded(lengths):
    buffer, _ = filled(*lengths)
    other, _ = filled(2, seed=1)
    other.load(buffer.part()[0])
    assert rows(other.part()[0]).tolist() == rows(buffer.part()[0]).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"returns": None}, r"have observations, actions, returns, the file has \['actions', 'obs"),
        ({"actions": torch.zeros(3, 2)}, r"actions of the good episodes are \(3, 2\) float32, the"),
        ({"observations": torch.zeros(3, 3).double()}, r"are \(3, 3\) float64, the agent needs"),
        ({"returns": torch.full((3,), torch.nan)}, "returns that are NaN or infinite: train again"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    buffer, _ = filled(3)
    tensors = {**buffer.part()[0], **changes}
    with pytest.raises(ValueError, match=message):
        buffer.load({name: value for name, value in tensors.items() if value is not None})


def test_open_episodes_beside_lists(rng):
    episodes, lists = OpenEpisodes(3, longest=4), [[], [], []]
    for _ in range(60):
        step = rng.normal(size=(3, 2)), rng.integers(4, size=3), rng.normal(size=3)
        episodes.add(*step)
        for env in range(3):
            lists[env].append([np.array(values[env]) for values in step])
            if rng.random() < 0.2 * (env + 1):
                expected = zip(*lists[env][-4:], strict=True)
                for values, wanted in zip(episodes.end(env), expected, strict=True):
                    np.testing.assert_array_equal(values, np.stack(wanted))
                lists[env] = []
    episodes.add(*step)
    episodes.clear()
    episodes.add(*step)
    assert [len(values) for values in episodes.end(1)] == [1, 1, 1]


@pytest.mark.parametrize(("last", "gamma"), [(0.0, 0.9), (2.5, 0.9), (2.5, 1.0)])
def test_discounted_returns_are_sums(last, gamma, rng):
    rewards = rng.normal(size=6)
    expected = [
        sum(gamma**k * reward for k, reward in enumerate(rewards[t:])) + gamma ** (6 - t) * last
        for t in range(6)
    ]
    np.testing.assert_allclose(discounted_returns(rewards, gamma, last), expected, rtol=1e-6)
