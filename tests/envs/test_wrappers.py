from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from envs import Environment, make_env
from envs.wrappers import EpisodeSeeds, FrameSkip
from latentrl.data.channels_first import is_channels_first, is_surely_channels_first
from tests.helpers import Clock, same


def test_frame_skip_equals_repeated_steps_and_stops_where_an_episode_ends():
    skipped, plain = FrameSkip(Clock(1), 3), Clock(1)  # episodes of 4, 5, 6 frames
    ended_amid = 0
    for _ in range(3):
        assert same(skipped.reset(seed=1)[0], plain.reset(seed=1)[0])
        done = False
        while not done:
            total = frames = 0
            while frames < 3 and not done:
                observation, reward, terminated, truncated, info = plain.step(1)
                total, frames, done = total + reward, frames + 1, terminated or truncated
            ended_amid += frames < 3
            result = skipped.step(1)
            assert same(result[0], observation)
            assert result[1:] == (total, terminated, truncated, info)
    assert ended_amid == 2


def test_frame_skip_below_one():
    with pytest.raises(ValueError, match="the frame skip must be at least 1 frame, got 0"):
        FrameSkip(Clock(), 0)


def test_frame_skip_is_made_again_from_its_spec():
    env = make_env(Environment("PixelReach-v0", frame_skip=2))
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, FrameSkip)
    assert again.skip == 2


def test_episode_seeds_repeat_in_order():
    env = make_env(Environment("PixelReach-v0"), seeds=[11, 12])
    assert isinstance(env, EpisodeSeeds)
    bare = gym.make("PixelReach-v0")
    for seed in (11, 12, 11):
        assert same(env.reset(seed=99)[0], bare.reset(seed=seed)[0])


class Pair(gym.Env):
    observation_space = gym.spaces.Dict(
        image=gym.spaces.Box(0, 255, (16, 16, 3), np.uint8), step=gym.spaces.Discrete(9)
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"image": np.full((16, 16, 3), 3, np.uint8), "step": 0}, {}


def test_key_selects_one_observation_of_a_dict():
    env = make_env(Environment(f"{__name__}:Pair", key="image"))
    assert env.observation_space == Pair.observation_space["image"]
    assert (env.reset()[0] == 3).all()
    with pytest.raises(
        ValueError, match="no observation 'pixels'; the environment has image, step"
    ):
        make_env(Environment(f"{__name__}:Pair", key="pixels"))
    with pytest.raises(ValueError, match="no observation 'image'; the environment has no keys"):
        make_env(Environment("PixelReach-v0", key="image"))


class Planes(gym.Env):
    """Images (3, 12, 16), each value of which says where it is; also under the key of a Dict."""

    action_space = gym.spaces.Discrete(2)
    image = np.arange(3 * 12 * 16).reshape(3, 12, 16).astype(np.int16)

    def __init__(self, keyed=False):
        box = gym.spaces.Box(self.image, self.image + 1, dtype=np.int16)
        self.keyed = keyed
        self.observation_space = gym.spaces.Dict(image=box) if keyed else box

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"image": self.image} if self.keyed else self.image, {}


class KeyedPlanes(Planes):
    def __init__(self):
        super().__init__(keyed=True)


@pytest.mark.parametrize(("name", "key"), [("Planes", None), ("KeyedPlanes", "image")])
def test_channels_go_last(name, key):
    env = make_env(Environment(f"{__name__}:{name}", key=key))
    expected = np.stack(list(Planes.image), axis=-1)
    assert same(env.reset()[0], expected)
    assert same(env.observation_space.low, expected)
    assert same(env.observation_space.high, expected + 1)
    assert env.observation_space.dtype == np.int16


@pytest.mark.parametrize(
    ("shape", "first"),
    [((4, 84, 84), True), ((12, 64, 48), True), ((9, 9, 20), False), ((8, 8, 73), False)],
)
def test_planes_of_a_board_stay_as_they_are(shape, first):
    assert is_surely_channels_first(shape) == first
    assert is_channels_first(shape)
