from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from envs import EnvFamily, Environment, make_env, make_vector
from envs.wrappers import FrameSkip
from latentrl.utils.workers import WorkerVectorEnv
from tests.helpers import ROOT, Clock, same


def test_a_class_of_ones_own():
    env = make_env(Environment("tests.helpers:Clock", frame_skip=2))
    assert isinstance(env.unwrapped, Clock)
    assert isinstance(env, FrameSkip)


class Rendered(Clock):
    """A clock that counts how often it is rendered."""

    renders = 0

    def render(self):
        self.renders += 1
        return np.zeros((16, 16, 3), np.uint8)


def test_dropped_frames_are_not_rendered():
    env = make_env(Environment(f"{__name__}:Rendered", frame_skip=3, render_size=8))
    env.reset()
    before = env.unwrapped.renders
    observation, *_ = env.step(env.action_space.sample())
    assert env.unwrapped.renders - before == 1
    assert observation.shape == (8, 8, 3)


@pytest.mark.parametrize("discrete", [True, False])
def test_discrete_actions_where_there_are_both(discrete):
    env = make_env(Environment("CarRacing-v2", discrete=discrete))
    assert isinstance(env.action_space, gym.spaces.Discrete) == discrete
    env.close()
    same_actions = make_env(Environment("PixelReach-v0", discrete=discrete)).action_space
    assert same_actions == gym.spaces.Discrete(4)


def test_unknown_backend():
    with pytest.raises(
        ValueError, match="unknown backend 'jax'; known: auto, drawn, envpool, gymnasium"
    ):
        make_vector(Environment("PixelReach-v0"), 2, backend="jax")


def test_envpool_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ValueError,
        match=r"CarRacing-v2 on EnvPool needs the package: pip install 'latentrl\[fast\]'; or use",
    ):
        make_vector(Environment("CarRacing-v2"), 2, backend="envpool")
    envs = make_vector(Environment("PixelReach-v0"), 1)
    assert isinstance(envs.unwrapped, SyncVectorEnv)


def test_other_environments_need_no_extra_package():
    code = """
import sys
from envs import Environment, make_vector
make_vector(Environment("PixelReach-v0"), 2)
extras = {"Box2D", "envpool", "minigrid", "ale_py", "vizdoom", "pygame"}
print(sorted(extras & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_vectors_have_same_step_autoreset_and_the_environment_as_metadata():
    environment = Environment("PixelReach-v0", frame_skip=2)
    vector = make_vector(environment, 2, backend="gymnasium", episode_seeds=[[5], [6]])
    assert isinstance(vector, SyncVectorEnv)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert vector.metadata["environment"] == environment.to_json()
    assert Environment(**vector.metadata["environment"]) == environment
    bare = gym.make("PixelReach-v0")
    observations, _ = vector.reset(seed=0)
    assert same(observations[1], bare.reset(seed=6)[0])


def test_slow_environments_step_in_workers():
    vector = make_vector(Environment("tests.helpers:Clock"), 2)
    try:
        assert isinstance(vector, AsyncVectorEnv)
        assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
        vector.reset(seed=0)
        assert vector.step(np.zeros(2, int))[1].tolist() == [1, 1]
    finally:
        vector.close()


class NoMode(Clock):
    """A clock that takes a render mode and drops it."""

    def __init__(self, render_mode=None):
        super().__init__()


class RendersNothing(Clock):
    def render(self):
        return None


class RenderRaises(Clock):
    def render(self):
        raise RuntimeError("no display")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (NoMode, "ValueError in .*render_mode"),
        (RendersNothing, "TypeError in .*numpy array"),
        (RenderRaises, r"RuntimeError in test_make\.py, line \d+: no display"),
    ],
)
def test_environments_that_cannot_be_rendered(make, reason):
    name = f"{__name__}:{make.__name__}"
    message = rf"{name} cannot be observed by rendered images \({reason}.*\): it must take"
    with pytest.raises(ValueError, match=message):
        make_env(Environment(name, render_size=8))


class OldStep(Clock):
    """A clock with the step of the old Gym."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, info


@pytest.mark.parametrize("host", ["env", "sync", "workers"])
def test_the_old_gym_is_named_at_the_first_step(host):
    environment = Environment(f"{__name__}:OldStep")
    env = (
        make_env(environment)
        if host == "env"
        else make_vector(environment, 1 if host == "sync" else 2)
    )
    try:
        env.reset(seed=0)
        with pytest.raises(ValueError, match=r"OldStep returned 4 values, .*gym before 0\.26"):
            env.step(0 if host == "env" else np.zeros(env.num_envs, int))
    finally:
        env.close()


def test_rendered_images_replace_observations():
    env = make_env(Environment("CartPole-v1", render_size=48))
    assert env.observation_space.shape == (48, 48, 3)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert len(np.unique(observation)) > 2
    env.close()


def test_on_one_core_environments_step_in_this_process(monkeypatch):
    for cores, kind in ((1, SyncVectorEnv), (2, WorkerVectorEnv)):
        monkeypatch.setattr("envs.make.usable_cores", lambda cores=cores: cores)
        envs = make_vector(Environment("tests.helpers:Clock"), 2)
        assert isinstance(envs, kind)
        envs.close()


def test_options_of_a_family_go_to_gymnasium(monkeypatch):
    family = EnvFamily("clocks", ("tests.helpers:Clock",), options={"side": 6})
    monkeypatch.setattr("envs.families.FAMILIES", {"clocks": family})
    env = make_env(Environment("tests.helpers:Clock"), render_mode="rgb_array")
    assert env.observation_space.shape == (6, 6, 3)
    assert env.render_mode == "rgb_array"
    assert family.options == {"side": 6}, "the call adds to a copy"
