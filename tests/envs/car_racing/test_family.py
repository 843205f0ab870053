from __future__ import annotations

import gymnasium as gym
import pytest

from envs import Environment, make_vector
from envs.car_racing import DISCRETE_ACTIONS, CarRacingVectorEnv
from tests.helpers import same


def test_discrete_actions_are_gymnasiums():
    discrete, continuous = gym.make("CarRacing-v3", continuous=False), gym.make("CarRacing-v3")
    assert same(discrete.reset(seed=0)[0], continuous.reset(seed=0)[0])
    for action in (3, 3, 3, 1, 2, 4, 0, 3, 1, 1):
        a, b = discrete.step(action), continuous.step(DISCRETE_ACTIONS[action])
        assert same(a[0], b[0])
        assert a[1:] == b[1:]
    discrete.close()
    continuous.close()


def test_envpool_has_both_kinds_of_actions():
    pytest.importorskip("envpool")
    for discrete, space in ((True, gym.spaces.Discrete(5)), (False, gym.spaces.Box)):
        vector = make_vector(
            Environment("CarRacing-v3", frame_skip=2, discrete=discrete), 2, backend="envpool"
        )
        try:
            assert type(vector) is CarRacingVectorEnv
            assert vector.frame_skip == 2
            assert space in (vector.single_action_space, type(vector.single_action_space))
            assert vector.single_observation_space.shape == (96, 96, 3)
            assert vector.reset(seed=0)[0] in vector.observation_space
            vector.action_space.seed(0)
            vector.step(vector.action_space.sample())
        finally:
            vector.close()


def test_a_package_before_the_id_changes_nothing():
    pytest.importorskip("envpool")
    vector = make_vector(Environment("envs:CarRacing-v2"), 1, backend="envpool")
    assert type(vector) is CarRacingVectorEnv
    assert vector.metadata["environment"]["id"] == "envs:CarRacing-v2"
    vector.close()
