from __future__ import annotations

import numpy as np
import pytest

from envs import Environment, make_env
from envs.crafter import Crafter
from tests.helpers import same

pytest.importorskip("crafter")


@pytest.fixture(scope="module")
def world():
    return Crafter()


def test_the_family_makes_it():
    env = make_env(Environment("CrafterReward-v1"))
    assert env.observation_space.shape == (64, 64, 3)
    assert env.action_space.n == 17
    assert env.spec.id == "CrafterReward-v1"


def test_a_seed_decides_the_world_and_its_creatures(world):
    def play(seed):
        frames = [world.reset(seed=seed)[0]]
        frames += [world.step(action)[0] for action in (1, 2, 3, 4)]
        return np.stack(frames)

    assert same(play(1), play(1))
    assert not same(play(1), play(2))


def test_death_terminates_and_the_limit_truncates(world):
    world.reset(seed=0)
    frame, reward, *ends, info = world.step(0)
    assert (frame in world.observation_space, reward, ends, info) == (True, 0.0, [False, False], {})
    world._world._length = 2
    _, _, *ends, info = world.step(0)
    assert ends == [False, True]
    assert len(info["achievements"]) == 22
    world._world._player.health = 0
    assert world.step(0)[2:4] == (True, False)


def test_a_larger_image_for_videos(world):
    world.reset(seed=0)
    image = world.render()
    assert image.shape == (512, 512, 3)
    assert image.dtype == np.uint8
