from __future__ import annotations

import numpy as np
import pytest

from envs import Environment, make_vector
from tests.helpers import same

ROOM = Environment("MiniWorld-OneRoom-v0")


def vector(n_envs):
    pytest.importorskip("miniworld")
    try:
        return make_vector(ROOM, n_envs, seed=0)
    except Exception as error:
        pytest.skip(f"no OpenGL here: {error}")


def test_rooms_are_drawn_without_a_display():
    envs = vector(2)
    try:
        frames, _ = envs.reset(seed=0)
        assert frames.shape == (2, 60, 80, 3)
        assert envs.single_action_space.n == 3
        # Walls, floor and ceiling have textures; two seeds give two positions.
        assert frames[0].std() > 5
        assert not same(frames[0], frames[1])
        turned = envs.step(np.array([0, 0]))[0]
        assert not same(turned[0], frames[0])
        assert same(envs.reset(seed=0)[0], frames)
    finally:
        envs.close()
