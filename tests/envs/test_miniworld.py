from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from envs import Environment, make_vector
from tests.helpers import same

ROOM = Environment("MiniWorld-OneRoom-v0")


def draw():
    """Return frames after a reset with seed 0, after a step, and after another reset."""
    envs = make_vector(ROOM, 2, seed=0)
    try:
        first = envs.reset(seed=0)[0].copy()
        assert envs.single_action_space.n == 3
        turned = envs.step(np.array([0, 0]))[0].copy()
        return first, turned, envs.reset(seed=0)[0].copy()
    finally:
        envs.close()


# Not importorskip: the import makes a graphics context, after which workers are no longer forked.
@pytest.mark.skipif(find_spec("miniworld") is None, reason="miniworld is not installed")
def test_rooms_are_drawn_without_a_display():
    first, turned, again = draw()
    assert first.shape == (2, 60, 80, 3)
    # Walls, floor and ceiling have textures; two seeds give two positions.
    assert first[0].std() > 5
    assert not same(first[0], first[1])
    assert not same(turned[0], first[0])
    assert same(again, first)
