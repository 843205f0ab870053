from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
import pytest

from envs import Environment, make_env, make_vector
from envs.ale import ALEVectorEnv
from tests.helpers import same

BREAKOUT = Environment("ALE/Breakout-v5")


def test_raw_frames_at_the_native_frame_skip():
    pytest.importorskip("ale_py")
    env = make_env(BREAKOUT)
    assert env.observation_space == gym.spaces.Box(0, 255, (210, 160, 3), np.uint8)
    before = env.reset(seed=0)[1]["frame_number"]
    assert env.step(0)[4]["frame_number"] == before + 4
    assert env.unwrapped.spec.kwargs["repeat_action_probability"] == 0.25


def test_a_frame_skip_replaces_the_native_one():
    pytest.importorskip("ale_py")
    env = make_env(Environment(BREAKOUT.id, frame_skip=2))
    before = env.reset(seed=0)[1]["frame_number"]
    assert env.step(0)[4]["frame_number"] == before + 2


def test_workers_import_the_package():
    pytest.importorskip("ale_py")
    vector = make_vector(BREAKOUT, 2, backend="gymnasium")
    try:
        assert vector.reset(seed=0)[0].shape == (2, 210, 160, 3)
        assert vector.step(np.zeros(2, int))[0].shape == (2, 210, 160, 3)
    finally:
        vector.close()


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(
        ValueError,
        match=r"ALE/Breakout-v5 needs the package ale_py: pip install 'latentrl\[atari\]'",
    ):
        make_env(BREAKOUT)


# EnvPool's games


class WithoutStickyActions(ALEVectorEnv):
    options = {**ALEVectorEnv.options, "repeat_action_probability": 0.0}


@pytest.fixture
def ale():
    """Pong in the emulator itself, which EnvPool's must equal frame by frame."""
    ale_py = pytest.importorskip("ale_py")
    pytest.importorskip("envpool")
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    emulator = ale_py.ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.loadROM(ale_py.roms.get_rom_path("pong"))
    return emulator


@pytest.mark.parametrize("skip", [1, 3])
def test_envpools_frames_are_the_maximum_of_the_emulators_last_two(ale, skip):
    envs = WithoutStickyActions("ALE/Pong-v5", 1, skip)
    actions = ale.getMinimalActionSet()
    assert envs.single_action_space.n == len(actions)
    ale.act(0)  # an episode begins with one step of no action
    assert same(envs.reset()[0][0], ale.getScreenRGB())
    for action in np.random.default_rng(0).integers(0, len(actions), 60):
        reward, frames = 0, []
        for _ in range(4 if skip == 1 else skip):
            reward += ale.act(actions[action])
            frames.append(ale.getScreenRGB())
        observed, gained, *_ = envs.step(np.array([action]))
        assert same(observed[0], np.maximum(frames[-1], frames[-2]))
        assert gained == [reward]
    envs.close()


def test_envpool_serves_games_by_gymnasiums_ids():
    pytest.importorskip("envpool")
    pytest.importorskip("ale_py")
    envs = make_vector(BREAKOUT, 2, seed=1)
    assert isinstance(envs, ALEVectorEnv)
    assert envs.spec.id == BREAKOUT.id
    assert envs.reset(seed=1)[0] in envs.observation_space
    assert envs.options["max_episode_steps"] == 27_000
    envs.close()
    with pytest.raises(ValueError, match="EnvPool cannot serve ALE/Mine-v5: it has no environment"):
        make_vector(Environment("ALE/Mine-v5"), 1, backend="envpool")
