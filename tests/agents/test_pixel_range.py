"""Agents that learn from images which use a small part of the declared range, or have none."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from agents.checkpoint import read_agent
from agents.evaluate import evaluate_agent
from agents.pixel_range import used_range
from envs import Environment
from envs.pixel_reach import PixelReach
from latentrl import Preprocessing
from tests.agents.small import REACH, tiny_train


class Dim(PixelReach):
    """PixelReach with images of another unit: ``low + scale * image``, in this Box."""

    def __init__(self, low=0.0, scale=1.0, declared=(0.0, 255.0), kind=np.float32, **options):
        super().__init__(**options)
        self.low, self.scale = low, scale
        self.observation_space = spaces.Box(*declared, (32, 32, 3), kind)

    def _draw(self):
        return (self.low + self.scale * super()._draw()).astype(self.observation_space.dtype)


def space_of(environment):
    return gym.make(environment.id).observation_space


@pytest.fixture
def dim(request):
    gym.register("Dim-v0", Dim, kwargs=request.param, max_episode_steps=20)
    yield Environment("Dim-v0")
    del gym.registry["Dim-v0"]


UNITS = {
    "a part": {"scale": 0.05 / 255, "declared": (0.0, 1.0)},
    "no bounds": {"low": -3.0, "scale": 7.0, "declared": (-np.inf, np.inf)},
    "uint8": {"scale": 0.05, "declared": (0, 255), "kind": np.uint8},
}


@pytest.mark.parametrize("dim", UNITS.values(), ids=UNITS, indirect=True)
def test_the_range_that_is_used_becomes_the_whole(dim):
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        low, high = used_range(dim, "auto", space_of(dim), Preprocessing())
    env = gym.make(dim.id)
    drawn = np.stack([env.reset(seed=seed)[0] for seed in range(50)])
    np.testing.assert_allclose(low, drawn.min((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(high, drawn.max((0, 1, 2)), rtol=1e-5)


def test_a_declared_range_that_is_used_stays():
    assert used_range(REACH, "auto", space_of(REACH), Preprocessing()) is None


@pytest.mark.parametrize("dim", [UNITS["a part"]], indirect=True)
def test_an_agent_and_its_evaluation_see_bright_images(dim, encoder):
    with pytest.warns(UserWarning, match="less than a tenth of the declared range 0 to 1: they"):
        run = tiny_train(encoder, env=dim.id, latent=False).path
    agent, _, _ = read_agent(run / "last")
    assert max(agent.pixel_range[1]) < 0.05
    assert len(evaluate_agent(run, 2, progress=False).returns) == 2
