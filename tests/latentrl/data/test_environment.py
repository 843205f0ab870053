"""Environments that are checked where they step: casts, shared arrays, rewards, the old API."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from latentrl.data.environment import StepError, check_inside, checked
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock


class OneArray(Clock):
    """A clock that draws into one array."""

    def __init__(self, ident=0, keyed=False):
        super().__init__(ident, keyed)
        self.canvas = np.empty((4, 4, 3), np.uint8)

    def _image(self):
        self.canvas[:] = super()._image()
        return self.canvas


class Old(Clock):
    """A clock with the interface of gym before 0.26."""

    def reset(self):
        return super().reset()[0]

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, info


class HalfOld(Old):
    """One whose reset has a seed, but returns no info."""

    def reset(self, *, seed=None, options=None):
        return super(Old, self).reset(seed=seed)[0]


class NewReset(Old):
    """One whose step alone is old."""

    def reset(self, *, seed=None, options=None):
        return super(Old, self).reset(seed=seed)


class NoOptions(NewReset):
    """One whose reset has a seed alone."""

    def reset(self, seed=None):
        return super().reset(seed=seed)


@pytest.mark.parametrize("keyed", [False, True])
def test_the_last_observation_of_an_episode_is_an_array_of_its_own(keyed):
    env = checked(OneArray(keyed=keyed))
    env.reset(seed=0)
    last = [env.step(0)[0] for _ in range(3)][-1]
    env.reset()
    assert (last["image"] if keyed else last)[0, 0].tolist()[:2] == [0, 3]


def test_an_environment_is_checked_once_and_its_copies_are_their_own():
    env = checked(Clock())
    step = env.step
    assert checked(env) is env
    assert env.step.__self__ is step.__self__
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    twin.step(0)
    assert (env.time, twin.time) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Old, "reset of the environment Old takes no seed or options, which is the interface of g"),
        (HalfOld, r"reset of the environment HalfOld returned no \(observation, info\), which is"),
        (NewReset, r'returned 4 values, .* gymnasium.make\("GymV21Environment-v0", env=env\)'),
    ],
)
def test_the_old_interface_is_named_at_the_start(kind, message):
    env = checked(kind())
    with pytest.raises(ValueError, match=message):
        env.reset(seed=0)
        env.step(0)


def test_a_reset_without_options_has_its_own_remedy():
    message = (
        "reset of the environment NoOptions takes no options: add options=None to its arguments"
    )
    with pytest.raises(ValueError, match=message):
        checked(NoOptions()).reset(seed=0, options=None)


class Broken(Clock):
    """A clock whose own code raises."""

    def __init__(self, error, at=0):
        super().__init__()
        self.error, self.at = error, at

    def _observe(self):
        if self.time == self.at:
            raise self.error
        return super()._observe()


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("door"), StepError),
        (TypeError("door"), StepError),
        (ValueError("door"), ValueError),
    ],
)
def test_what_an_environment_raises_names_it_and_the_place(error, kind, at):
    envs = GymnasiumVecEnv(SyncVectorEnv([Clock, lambda: Broken(error, at)]))
    words = rf"^the environment Broken raised {type(error).__name__} in test_.*, line \d+: '?door"
    with pytest.raises(kind, match=words) as caught:
        envs.reset()
        for _ in range(3):
            envs.step(np.zeros(2, int))
    assert caught.value.__cause__ is error


def test_errors_of_gymnasium_stay():
    error = gym.error.ResetNeeded("call reset first")
    with pytest.raises(gym.error.ResetNeeded, match=r"^call reset first$"):
        checked(Broken(error)).reset(seed=0)


def test_environments_of_another_package_are_named():
    with pytest.raises(TypeError, match=r"expected a gymnasium.Env, got builtins.object; .*Shimmy"):
        checked(object())


class Bad(gym.Wrapper):
    """A clock that returns a bad reward at its fifth step, or a bad observation in one key."""

    def __init__(self, reward=1.0, part=None):
        super().__init__(Clock(keyed=part is not None))
        self.reward, self.part, self.count = reward, part, 0

    def step(self, action):
        observation, _, *rest = self.env.step(action)
        self.count += 1
        if self.count < 5:
            return (observation, 1.0, *rest)
        if self.part is not None:
            observation = {**observation, **self.part}
        return (observation, self.reward, *rest)


def play(env):
    env.reset(seed=0)
    for _ in range(6):
        if any(env.step(0)[2:4]):
            env.reset()


@pytest.mark.parametrize("reward", [np.nan, -np.inf, np.float32("inf")])
def test_a_bad_reward_has_environment_and_step(reward):
    with pytest.raises(ValueError, match=f"environment 3 returned the reward {reward} at step 5: "):
        play(checked(Bad(reward), 3))


def test_each_key_of_a_dict_is_checked():
    part = {"image": np.full((4, 4, 3), 0.5, np.float32)}
    with pytest.raises(ValueError, match="the environment Clock, key 'image', returned float32"):
        play(checked(Bad(part=part)))
    with pytest.raises(ValueError, match=r"the environment Clock, key 'speed', .* NaN or infinity"):
        play(checked(Bad(part={"speed": np.array([np.nan], np.float32)})))


class Halves(Clock):
    """A clock that declares uint8 and returns floats in 0..1."""

    def _image(self):
        return np.full((4, 4, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    "host",
    [
        lambda makers: SyncVectorEnv(makers),
        DummyVecEnv,
        lambda makers: GymnasiumVecEnv(SyncVectorEnv(makers)),
    ],
    ids=["SyncVectorEnv", "DummyVecEnv", "GymnasiumVecEnv"],
)
def test_floats_are_refused_before_a_vector_environment_casts_them(host):
    envs = host([lambda: gym.wrappers.TimeLimit(Halves(), 4)] * 2)
    check_inside(envs)
    with pytest.raises(ValueError, match="the environment Halves returned float32 observations, "):
        envs.reset()


def test_attributes_that_a_vector_environment_sets_reach_the_environment():
    venv = DummyVecEnv([Clock])
    check_inside(venv)
    venv.set_attr("ident", 5)
    venv.reset()
    assert venv.step([0])[0].max() >= 50
    assert isinstance(venv.envs[0], Clock)


def test_finals_of_one_array_survive_the_reset():
    envs = SyncVectorEnv([OneArray, OneArray], autoreset_mode=AutoresetMode.SAME_STEP)
    check_inside(envs)
    envs.reset(seed=0)
    for _ in range(3):
        *_, infos = envs.step([0, 0])
    assert [final[0, 0, 1] for final in infos["final_obs"]] == [3, 3]


def test_other_observations_pass():
    class Other(Clock):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Discrete(300)

        def _observe(self):
            return self.time

    env = checked(Other())
    assert env.reset(seed=0)[0] == 0
    assert env.step(0)[0] == 1
