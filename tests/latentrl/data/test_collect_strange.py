"""collect() of strange environments: observations, rewards, actions, and workers that fail."""

from __future__ import annotations

import functools
import os
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from latentrl.data.collect import collect
from latentrl.data.contract import FIRST
from latentrl.data.frames import Frames
from latentrl.utils.pipes import WorkerError
from tests.helpers import Clock

QUIET = {"progress": False}


class Scaled(gym.Wrapper):
    """A clock whose images are scaled, and of another declared range."""

    def __init__(self, scale, high, dtype, returned=None):
        super().__init__(Clock(side=8))
        self.observation_space = spaces.Box(0, high, (8, 8, 3), dtype)
        self.scale, self.returned = scale, returned or dtype

    def _scaled(self, image):
        return (np.float64(image) * self.scale).astype(self.returned)

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        return self._scaled(observation), info

    def step(self, action):
        observation, *rest = self.env.step(action)
        return self._scaled(observation), *rest


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (1, 1, np.float32),
            "go from [0-9]+ to [0-9]+ in channel 2, their .* 0 to 1: d",
        ),
        ((1 / 255, 255, np.uint8, np.float32), r"returned float32 observations, .* \(8, 8, 3\) ui"),
        ((200, 10_000, np.uint16), r"go from .* in channel 2, their .* declares 0 to 1"),
    ],
)
def test_observations_outside_their_space_are_refused(options, message, n_envs, tmp_path):
    with pytest.raises(ValueError, match=message):
        collect(functools.partial(Scaled, *options), 40, tmp_path, n_envs=n_envs, **QUIET)


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_a_users_own_vector_environment_is_checked(kind, tmp_path):
    envs = kind([functools.partial(Scaled, 1, 1, np.float32)] * 2)
    with pytest.raises(ValueError, match=r"values that go from .* their space declares 0 to 1"):
        collect(envs, 40, tmp_path, **QUIET)
    envs.close()


def test_a_cast_in_a_users_own_workers_shows(tmp_path):
    envs = AsyncVectorEnv([functools.partial(Scaled, 1 / 200, 255, np.uint8, np.float32)] * 2)
    with pytest.warns(UserWarning, match="returned only 0 and 1, its space declares up to 255"):
        collect(envs, 2 * FIRST, tmp_path, seed=4, **QUIET)
    envs.close()


class Rewarding(Clock):
    """A clock with another reward at time 2 in its second episode."""

    def __init__(self, reward, ident=0):
        super().__init__(ident)
        self.reward = reward

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, self.reward if (self.episode, self.time) == (1, 2) else reward, *rest


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("reward", [np.nan, np.inf])
def test_a_reward_that_is_not_finite_is_named(reward, n_envs, tmp_path):
    with pytest.raises(ValueError, match=f"environment 0 returned the reward {reward} at step 5"):
        collect(functools.partial(Rewarding, reward), 60, tmp_path, n_envs=n_envs, **QUIET)


class OneArray(Clock):
    """A clock that draws into one array."""

    canvas = None

    def _image(self):
        self.canvas = super()._image() if self.canvas is None else self.canvas
        self.canvas[:] = super()._image()
        return self.canvas


def finals(frames):
    return frames[:][frames.steps["final"]][:, 0, 0, 1].tolist()


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("copy", [True, False])
def test_one_array_for_all_observations_keeps_its_finals(mode, copy, tmp_path):
    envs = SyncVectorEnv([OneArray] * 2, copy, autoreset_mode=mode)
    assert finals(collect(envs, 30, tmp_path, **QUIET)) == [3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("n_envs", [1, 2])
def test_one_array_in_environments_that_collect_makes(n_envs, tmp_path):
    frames = collect(OneArray, 30, tmp_path, n_envs=n_envs, **QUIET)
    assert finals(frames)[:2] == ([3, 4] if n_envs == 1 else [3, 3])


def test_one_array_in_a_users_own_workers_is_reported(tmp_path):
    envs = AsyncVectorEnv([OneArray] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.warns(UserWarning, match="same observation at the end of each episode and at the"):
        collect(envs, 40, tmp_path, **QUIET)
    envs.close()


class Acting(Clock):
    """A clock that checks its actions."""

    def __init__(self, space):
        super().__init__()
        self.action_space = space

    def step(self, action):
        assert self.action_space.contains(np.asarray(action)), action
        return super().step(0)


@pytest.mark.parametrize("policy", ["random", "brownian"])
@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiBinary(3),
        spaces.MultiBinary((2, 2)),
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiDiscrete([3, 4], start=[-1, 7]),
        spaces.Discrete(3, start=5),
        spaces.Discrete(4, start=-2),
        spaces.Box(-3, 2, (2,), np.int32),
    ],
    ids=str,
)
@pytest.mark.parametrize("n_envs", [1, 2])
def test_actions_of_one_array(space, policy, n_envs, tmp_path):
    envs = SyncVectorEnv([functools.partial(Acting, space)] * n_envs)
    frames = collect(envs, 60, tmp_path, policy=policy, **QUIET)
    acted = frames.steps[~frames.steps["final"]]
    assert all(space.contains(action.astype(space.dtype)) for action in acted["action"])
    assert len(np.unique(acted["action"], axis=0)) > 1


@pytest.mark.parametrize(
    "space",
    [
        spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]),
        spaces.Dict({"a": spaces.Box(0, 1, (2,)), "b": spaces.Discrete(2)}),
        spaces.Text(3),
    ],
    ids=lambda space: type(space).__name__,
)
@pytest.mark.parametrize("n_envs", [1, 2])
def test_other_actions_are_refused_before_a_step(space, n_envs, tmp_path):
    with pytest.raises(ValueError, match=r"actions are (Tuple|Dict|Text).*one array .*Transform"):
        collect(functools.partial(Acting, space), 9, tmp_path / "s", n_envs=n_envs, **QUIET)
    assert not (tmp_path / "s").exists()


class Old(Clock):
    """A clock with the interface of gym before 0.26."""

    def reset(self):
        return super().reset()[0]


@pytest.mark.parametrize("n_envs", [1, 2])
def test_the_old_interface_is_named(n_envs, tmp_path):
    with pytest.raises(ValueError, match=r"reset of the environment Old takes no seed .*Shimmy"):
        collect(Old, 9, tmp_path, n_envs=n_envs, **QUIET)


class Dying(Clock):
    """A clock that ends its process in its second episode."""

    def reset(self, **options):
        if self.episode == 0:
            os._exit(7)
        return super().reset(**options)


def test_frames_of_workers_that_die_are_kept(tmp_path):
    with pytest.raises(WorkerError, match=r"environment [01] is lost: its process ended with exit"):
        collect(Dying, 100, tmp_path, n_envs=2, **QUIET)
    assert len(Frames.open(tmp_path)) == 8  # two episodes of three steps, and their ends


class Shared(Clock):
    """A clock that hangs where another process has made one before it forked, as OpenGL does."""

    owner = None

    def __init__(self):
        super().__init__()
        if Shared.owner not in (None, os.getpid()):
            time.sleep(1000)
        Shared.owner = os.getpid()


def test_workers_do_not_inherit_what_a_first_environment_opens(tmp_path):
    assert len(collect(Shared, 20, tmp_path, n_envs=2, **QUIET)) == 20
    assert Shared.owner is None


class Speaking(Clock):
    """Says, under another key, what its space of texts does not hold."""

    def __init__(self):
        super().__init__(keyed=True, side=8)
        text = spaces.Text(9, charset="ab")
        self.observation_space = spaces.Dict({**self.observation_space.spaces, "text": text})

    def _observe(self):
        return {**super()._observe(), "text": "\u00e9 ?"}


def test_other_keys_of_a_dict_may_hold_anything(tmp_path):
    frames = collect(Speaking, 30, tmp_path, n_envs=2, key="image", **QUIET)
    assert frames.metadata["environment"] == {"id": "Speaking"}
    assert frames[:].shape == (30, 8, 8, 3)


def test_a_policy_gets_all_keys(tmp_path):
    def even(observations):
        return observations["speed"][:, 0].astype(int) % 2

    frames = collect(Speaking, 30, tmp_path, n_envs=1, key="image", policy=even, **QUIET)
    acted = ~frames.steps["final"]
    assert (frames.steps["action"][acted] == frames[acted][:, 0, 0, 1] % 2).all()


def test_channels_first_images_are_refused_before_the_first_step(tmp_path):
    space = spaces.Box(0, 255, (3, 8, 8), np.uint8)

    def planes():
        clock = Clock(side=8)
        return gym.wrappers.TransformObservation(clock, lambda x: np.moveaxis(x, -1, 0), space)

    message = r"images of shape \(3, 8, 8\) look channels-first; latentrl takes \(H, W, C\)"
    with pytest.raises(ValueError, match=message):
        collect(planes, 30, tmp_path / "new", n_envs=1, **QUIET)
    assert not (tmp_path / "new").exists()
