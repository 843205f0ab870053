"""Past timesteps in a ring buffer, beside lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.good_episodes import RECENT, REPLAYS, GoodEpisodes, OpenEpisodes
from latentrl.utils.io import read_tensors, write_tensors

SPACES = spaces.Box(-np.inf, np.inf, (3,), np.float32), spaces.Discrete(5)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def episode(length, rng):
    observations = rng.normal(size=(length, 3)).astype(np.float32)
    return observations, rng.integers(5, size=length), rng.normal(size=length), rng.normal()


def rows(part):
    """Observation, action, reward, value of what follows, and end of each timestep of a part."""
    return np.concatenate([np.atleast_2d(values.numpy().T).T for values in part.values()], axis=1)


def filled(*lengths, size=7, seed=0):
    """A buffer, and all rows that it was given, the newest one last."""
    rng = np.random.default_rng(seed)
    buffer, given = GoodEpisodes(*SPACES, size), np.empty((0, 7), np.float32)
    for length in lengths:
        observations, actions, rewards, after = episode(length, rng)
        buffer.add(observations, actions, rewards, after)
        ends = np.eye(length)[-1]
        columns = [observations, actions, rewards, after * ends, ends]
        given = np.concatenate([given, np.column_stack(columns).astype(np.float32)])
    return buffer, given


@pytest.mark.parametrize("lengths", [(), (3,), (3, 4), (3, 6), (7,), (5, 5, 5, 1)])
def test_the_newest_timesteps_stay(lengths):
    buffer, given = filled(*lengths)
    part, notes = buffer.part()
    assert len(buffer) == len(buffer.rows) == min(7, sum(lengths))
    assert notes["budget"] == REPLAYS * len(buffer), "what is overwritten is not repeated"
    np.testing.assert_array_equal(rows(part), given[-7:])


@pytest.mark.parametrize("lengths", [(), (4,), (3, 6)])
def test_a_part_is_loaded(lengths):
    buffer, _ = filled(*lengths)
    other, _ = filled(2, seed=1)
    buffer.budget //= 2
    other.load(*buffer.part())
    assert other.budget == buffer.budget
    assert rows(other.part()[0]).tolist() == rows(buffer.part()[0]).tolist()


@pytest.mark.parametrize("before", [0, 1, 30, RECENT + 50])
def test_a_resumed_run_judges_returns_as_an_uninterrupted_one(before, tmp_path, rng):
    returns = rng.normal(np.linspace(0, 3, 2 * RECENT + 50), 1).tolist()
    expected = [k > 0 and r > np.mean(returns[:k][-RECENT:]) for k, r in enumerate(returns)]
    first, _ = filled(3)
    assert [first.judge(total) for total in returns[:before]] == expected[:before]
    tensors, notes = first.part()
    write_tensors(tmp_path / "part.safetensors", tensors, {"part": notes})
    second, _ = filled(2, seed=1)
    second.judge(99.0)
    second.load(*read_tensors(tmp_path / "part.safetensors", "part"))
    second.clear()  # of the timesteps alone, as for a new encoder
    assert [second.judge(total) for total in returns[before:]] == expected[before:]


def test_a_part_of_before_has_no_returns():
    buffer, _ = filled(3)
    buffer.judge(1.0)
    buffer.load(buffer.part()[0], {"budget": 3})
    assert not buffer.recent


@pytest.mark.parametrize(
    ("recent", "message"),
    [
        ([1.0, np.nan], "item 1 of recent returns of good episodes is a number, got nan"),
        (["a"], "item 0 of recent returns of good episodes is a number, got 'a'"),
        (3.0, "recent returns of good episodes is a list, got 3"),
    ],
)
def test_returns_that_are_no_numbers(recent, message):
    buffer, _ = filled(3)
    with pytest.raises(ValueError, match=message):
        buffer.load(buffer.part()[0], {"recent": recent})


@pytest.mark.parametrize("lengths", [(3,), (3, 6), (5, 5, 5, 1)])
@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_returns_are_discounted_sums_of_normalised_rewards(lengths, gamma):
    buffer, given = filled(*lengths)
    found = buffer.returns(lambda rewards: np.clip(rewards / 2, -0.4, 0.4), 2, gamma)
    _, _, _, _, rewards, after, ends = given[-7:].T
    for t, row in enumerate(buffer.rows):
        last = t + int(ends[t:].argmax())
        sums = [gamma**k * np.clip(rewards[t + k] / 2, -0.4, 0.4) for k in range(last - t + 1)]
        expected = sum(sums) + gamma ** (last - t + 1) * after[last] / 2
        assert found[row] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": None}, "have actions, ends, observations, rewards, values_after, the file"),
        ({"actions": torch.zeros(3, 2)}, r"actions of the good episodes are \(3, 2\) float32, the"),
        ({"observations": torch.zeros(3, 3).double()}, r"are \(3, 3\) float64, the agent needs"),
        ({"rewards": torch.full((3,), torch.nan)}, "rewards of good episodes are NaN or infinite"),
        ({"rewards": torch.tensor(1.0)}, "of the good episodes are"),
        ({"observations": torch.full((3, 3), torch.nan)}, "observations of good episodes are NaN"),
        ({"values_after": torch.full((3,), torch.inf)}, "values_after of good episodes are NaN or"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    buffer, _ = filled(3)
    tensors = {**buffer.part()[0], **changes}
    with pytest.raises(ValueError, match=message):
        buffer.load({name: value for name, value in tensors.items() if value is not None}, {})


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
