"""Frames that are drawn once per timestep, against those of Gymnasium's CarRacing."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing

from envs import Environment, make_env, make_vector
from envs.car_racing import drawn_frames, own_frames
from envs.car_racing.drawing import DrawnFrames, FramesOnce, is_original
from envs.make import backend_of
from tests.helpers import same

SKIP = 4


def drive(env, steps, skip=1):
    """Yield frames of random driving, and what else the environment returns; rewards are summed."""
    rng = np.random.default_rng(0)
    yield env.reset(seed=5)[0], 0.0
    for step in range(steps):
        if step % 5 == 0:
            action = rng.uniform([-0.4, 0, 0], [0.4, 1, 0.1]).astype(np.float32)
        returned = 0.0
        for _ in range(skip):
            frame, reward, *_ = env.step(action)
            returned += reward
        yield frame, returned


def has(env, kind):
    while not isinstance(env, kind):
        if env is env.unwrapped:
            return False
        env = env.env
    return True


def test_own_frames_are_gymnasiums():
    """The camera comes down in the first 50 env frames."""
    own = drive(make_env(Environment("CarRacing-v3", frame_skip=SKIP)), 25)
    gymnasiums = drive(gym.make("CarRacing-v3"), 25, SKIP)
    for (frame, reward), (expected, expected_reward) in zip(own, gymnasiums, strict=True):
        assert same(frame, expected)
        assert reward == pytest.approx(expected_reward)


@pytest.mark.parametrize("randomize", [False, True])
def test_drawn_frames_are_nearly_gymnasiums(randomize):
    plain = gym.make("CarRacing-v3", domain_randomize=randomize)
    drawn = DrawnFrames(gym.make("CarRacing-v3", domain_randomize=randomize))
    worst, rewards = [], []
    for (frame, reward), (expected, expected_reward) in zip(
        drive(drawn, 100), drive(plain, 100), strict=True
    ):
        assert (frame.shape, frame.dtype) == (expected.shape, expected.dtype)
        assert reward == expected_reward
        difference = np.abs(frame.astype(int) - expected)
        assert difference.mean() < 1
        worst.append(np.percentile(difference, 99))
        rewards.append(reward)
    assert max(worst[50:]) < 25, "the camera is down"
    assert sum(rewards) > 20, "tiles change their colours once they are visited"


def test_renders_are_the_environments():
    env = drawn_frames(gym.make("CarRacing-v3", render_mode="rgb_array"))
    plain = gym.make("CarRacing-v3", render_mode="rgb_array")
    for each in (env, plain):
        each.reset(seed=1)
    assert same(env.render(), plain.render())


class Night(CarRacing):
    """A variant that draws its road in black."""

    def _render_road(self, *args):
        self.surf.fill((0, 0, 0))


def test_a_variant_keeps_its_drawing():
    assert is_original(gym.make("CarRacing-v3"))
    assert not is_original(Night())
    assert not is_original(gym.make("CarRacing-v3", render_mode="state_pixels"))
    for wrapped in (own_frames, drawn_frames):
        env = wrapped(Night())
        assert not has(env, FramesOnce)
        assert env.reset(seed=0)[0][:80].max() < 255
    assert has(drawn_frames(CarRacing()), DrawnFrames)
    assert not has(own_frames(CarRacing()), DrawnFrames)


def test_the_backend():
    environment = Environment("CarRacing-v3", frame_skip=SKIP)
    assert backend_of(environment) == "drawn"
    assert backend_of(Environment("PixelReach-v0")) == "gymnasium"
    envs = make_vector(environment, 1, backend="drawn", episode_seeds=[[7]])
    frame, info = envs.reset()
    single = drawn_frames(gym.make("CarRacing-v3"))
    assert same(frame[0], single.reset(seed=7)[0])
    assert info["factors"].shape == (1, 5)
    envs.close()
    with pytest.raises(ValueError, match=r"no faster drawing here \(families with one: car_racing"):
        make_vector(Environment("PixelReach-v0"), 1, backend="drawn")
    with pytest.raises(ValueError, match="environment's own observations, not for renders"):
        make_vector(Environment("CarRacing-v3", render_size=64), 1, backend="drawn")
