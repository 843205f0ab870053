from __future__ import annotations

import numpy as np
import pytest

from envs import Environment, make_env

pytest.importorskip("highway_env")


@pytest.fixture(scope="module")
def env():
    made = make_env(Environment("highway-fast-v0"))
    yield made
    made.close()


def test_images_are_channels_last(env):
    image, _ = env.reset(seed=0)
    assert image in env.observation_space
    assert image.shape == (64, 128, 1)
    assert env.step(1)[0] in env.observation_space


def test_the_road_runs_from_left_to_right(env):
    image = env.reset(seed=0)[0][..., 0]
    # The solid lines along both sides of the road are the brightest rows.
    bright = np.flatnonzero((image == image.max()).mean(1) > 0.9)
    assert len(bright) >= 2
    assert 0 < bright[0] < bright[-1] < 63


def test_the_five_meta_actions(env):
    assert env.action_space.n == 5
