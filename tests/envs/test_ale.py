from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
import pytest

from envs import Environment, make_env, make_vector

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
    vector = make_vector(BREAKOUT, 2)
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
