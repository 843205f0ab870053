from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from tests.helpers import same


@pytest.fixture(scope="module")
def car():
    from envs.car_racing.v2 import CarRacingV2

    env = CarRacingV2()
    env.reset(seed=0)
    yield env
    env.close()


@pytest.mark.parametrize(
    ("info", "terminated", "expected"),
    [
        ({"lap_finished": True}, True, (False, True)),
        ({"lap_finished": False}, True, (True, False)),
        ({}, False, (False, False)),
    ],
)
def test_a_finished_lap_truncates_in_version_2(car, monkeypatch, info, terminated, expected):
    from gymnasium.envs.box2d.car_racing import CarRacing

    result = ("frame", np.float64(3.5), terminated, False, info)
    monkeypatch.setattr(CarRacing, "step", lambda self, action: result)
    observation, reward, *ends, same_info = car.step(None)
    assert (observation, reward, tuple(ends), same_info) == ("frame", 3.5, expected, info)
    assert type(reward) is float


@pytest.mark.filterwarnings("ignore:.*CarRacing-v2 is out of date")
def test_frames_and_rewards_are_those_of_version_3():
    two, three = gym.make("CarRacing-v2"), gym.make("CarRacing-v3")
    assert two.spec.max_episode_steps == 1000
    assert same(two.reset(seed=3)[0], three.reset(seed=3)[0])
    for action in ([0, 1, 0], [0.5, 0.2, 0], [-1, 0, 0.5]):
        a, b = two.step(np.array(action, np.float32)), three.step(np.array(action, np.float32))
        assert same(a[0], b[0])
        assert a[1:] == b[1:]
    again = gym.make(EnvSpec.from_json(two.spec.to_json()))
    assert same(again.reset(seed=3)[0], three.reset(seed=3)[0])
    for env in (two, three, again):
        env.close()
