"""Rewards and ends in arrays, steps and Dicts that lack values, and errors while closing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.environment import StepError, checked
from tests.helpers import Clock


class Rewards(Clock):
    """A clock with a reward of the test's choice."""

    def __init__(self, reward: Any) -> None:
        super().__init__()
        self.value = reward

    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, self.value, *rest


@pytest.mark.parametrize("reward", [np.array([2.5]), [2.5], np.array([[2.5]]), np.float64(2.5)])
def test_one_value_is_a_number(reward: Any) -> None:
    env = checked(Rewards(reward))
    env.reset(seed=0)
    result = env.step(0)[1]
    assert result == 2.5
    assert np.ndim(result) == 0


@pytest.mark.parametrize("reward", [np.zeros(2), [], [1.0, 2.0]])
def test_other_arrays_are_no_reward(reward: Any) -> None:
    env = checked(Rewards(reward), index=3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="a reward is a number, environment 3 returned"):
        env.step(0)


@pytest.mark.parametrize(
    ("result", "values"), [(None, "None"), (7, "7"), ((1, 2, 3, 4), "4 values"), ([], "0 values")]
)
def test_steps_without_five_values(result: Any, values: str) -> None:
    class Returns(Clock):
        def step(self, action: Any) -> Any:
            return result

    env = checked(Returns())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"step of the environment Returns returned {values}, "):
        env.step(0)


def test_an_error_of_closing_hides_no_other(tmp_path) -> None:
    class Fails(Clock):
        def step(self, action: Any) -> Any:
            raise RuntimeError("no fuel")

        def close(self) -> None:
            if self.episode >= 0:
                raise RuntimeError("cannot close")

    with pytest.raises(StepError, match="no fuel"):
        lrl.collect(Fails, 10, tmp_path / "frames", n_envs=1, progress=False)


class Ends(Clock):
    """A clock whose steps return one value as ``terminated``, and one info."""

    def __init__(self, end: Any, info: Any = None) -> None:
        super().__init__()
        self.end, self.info = end, {} if info is None else info

    def step(self, action: Any) -> Any:
        observation, reward, _, truncated, _ = super().step(action)
        return observation, reward, self.end, truncated, self.info


@pytest.mark.parametrize("end", [np.array([True]), np.ones((1, 1)), np.array(1), np.bool_(1), 1])
def test_ends_lose_their_axes(end: Any) -> None:
    env = checked(Ends(end))
    env.reset(seed=0)
    result = env.step(0)[2]
    assert np.ndim(result) == 0
    assert bool(result) is True


@pytest.mark.parametrize("end", [None, "no", np.zeros(2, bool), []])
def test_other_ends_are_named(end: Any) -> None:
    env = checked(Ends(end))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="for the end of an episode: return a bool for terminated"):
        env.step(0)


def test_infos_are_dicts() -> None:
    env = checked(Ends(False, "fine"))
    env.reset(seed=0)
    with pytest.raises(
        ValueError, match=r"step of .* Ends returned the info 'fine': return a dict"
    ):
        env.step(0)


@pytest.mark.parametrize(
    ("observation", "found"), [({"a": 1}, "a"), ({}, ""), (np.zeros(2), "no Dict")]
)
def test_dicts_have_all_keys(observation: Any, found: str) -> None:
    class Keys(Clock):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = spaces.Dict(a=spaces.Discrete(2), b=spaces.Discrete(2))

        def reset(self, **options: Any) -> Any:
            return observation, {}

    with pytest.raises(ValueError, match=f"Keys returned {found}, its space declares a Dict of a,"):
        checked(Keys()).reset()
