"""What names an environment, and the place of its errors."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from latentrl.utils.environments import described_vector, raised
from tests.helpers import Clock


def test_an_environment_of_gymnasium_has_code_of_its_own():
    env = gym.make("CartPole-v1").unwrapped
    with pytest.raises(AssertionError) as caught:
        env.step(9)
    assert raised(caught.value).startswith("AssertionError in cartpole.py, line ")


def test_code_without_a_file_counts():
    code = compile("import numpy\nnumpy.zeros(-1)", "<ipython-input-1>", "exec")
    with pytest.raises(ValueError, match="negative") as caught:
        exec(code)
    assert raised(caught.value).startswith("ValueError in <ipython-input-1>, line 2: negative")


def test_packages_are_left_out():
    with pytest.raises(ValueError, match="stack") as caught:
        np.stack([])
    assert raised(caught.value).startswith("ValueError in test_environments.py, line ")


def test_metadata_may_describe_a_vector_environment():
    envs = SyncVectorEnv([Clock])
    envs.metadata = {**envs.metadata, "environment": {"id": "Counter", "frame_skip": 4}}
    assert described_vector(envs) == {"id": "Counter", "frame_skip": 4}


def short():
    return TimeLimit(Clock(), 5)


@pytest.mark.parametrize("maker", [Clock, functools.partial(Clock, 2), short])
def test_the_environment_inside_describes_a_vector_environment(maker):
    envs = SyncVectorEnv([maker] * 2)
    assert described_vector(envs) == {"id": "Clock"}
    assert described_vector(RecordEpisodeStatistics(envs)) == {"id": "Clock"}


def test_arguments_of_the_environment_inside_count():
    made = functools.partial(gym.make, "CartPole-v1", sutton_barto_reward=True)
    expected = {"id": "CartPole-v1", "kwargs": {"sutton_barto_reward": True}}
    assert described_vector(SyncVectorEnv([made])) == expected
    assert described_vector(gym.make_vec("CartPole-v1", 2)) == {"id": "CartPole-v1"}


CHANGED_POLE = functools.partial(gym.make, "CartPole-v1", sutton_barto_reward=True)


@pytest.mark.parametrize(
    ("maker", "expected"),
    [
        (Clock, {"id": "Clock"}),
        (functools.partial(Clock, 2), {"id": "Clock"}),
        (short, {"id": "Clock"}),
        (lambda: gym.make("CartPole-v1"), {"id": "CartPole-v1"}),
        (CHANGED_POLE, {"id": "CartPole-v1", "kwargs": {"sutton_barto_reward": True}}),
    ],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_the_environments_in_workers_are_described(maker, expected):
    envs = AsyncVectorEnv([maker])
    try:
        assert described_vector(envs) == expected
    finally:
        envs.close()


def test_a_vector_environment_of_its_own_has_its_own_name():
    class Own(VectorEnv):
        metadata = {}

    assert described_vector(Own()) == {"id": "Own"}
