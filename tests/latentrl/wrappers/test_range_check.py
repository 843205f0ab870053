"""Frames outside the range that an encoder scales by are named once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import latentrl as lrl
from latentrl.wrappers.range_check import EVERY, RangeCheck
from tests.helpers import FakeEncoder


def frames(low, high):
    return np.linspace(low, high, 16 * 16 * 3).astype(np.uint8).reshape(1, 16, 16, 3)


@pytest.fixture
def narrow():
    model = lrl.random((16, 16, 3), latent_dim=4)
    with pytest.warns(UserWarning, match="less than a tenth of the declared range"):
        model.preprocess.fit(frames(50, 70))
    return model


@pytest.mark.parametrize(("low", "high"), [(50, 255), (0, 70)])
def test_it_warns_once(narrow, low, high):
    check = RangeCheck(narrow)
    check(frames(50, 70))
    for _ in range(EVERY - 1):
        check(frames(low, high))  # not compared
    with pytest.warns(UserWarning, match=r"values from .*, and are scaled by the range 50 to "):
        check(frames(low, high))
    for _ in range(2 * EVERY):
        check(frames(low, high))


def test_frames_near_the_range_pass(narrow):
    check = RangeCheck(narrow)
    for _ in range(2 * EVERY):
        check(frames(42, 78))


def test_the_declared_range_is_not_compared():
    for encoder in (
        lrl.random((16, 16, 3), latent_dim=4),
        lrl.random((6,), latent_dim=2),
        FakeEncoder(),
    ):
        RangeCheck(encoder)(np.full((1, 16, 16, 3), 1000))


def test_observations_of_a_wrapped_environment_are_compared(narrow):
    import gymnasium as gym

    class Lamp(gym.Env):
        observation_space = gym.spaces.Box(0, 255, (16, 16, 3), np.uint8)
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return frames(50, 255), {}

    env = lrl.wrap(gym.wrappers.TransformObservation(Lamp(), lambda x: x[0], None), narrow)
    with pytest.warns(UserWarning, match="what lies far outside is not encoded well"):
        env.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset()
