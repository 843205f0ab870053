"""Discrete actions that do not start at 0, which SB3 counts from 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import Clock


class Takes(Clock):
    """A clock that keeps the actions that it was given."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__()
        self.action_space, self.taken = space, []

    def step(self, action: Any) -> Any:
        self.taken.append(np.asarray(action).tolist())
        return super().step(0)


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize(
    ("space", "counted", "actions", "taken"),
    [
        (spaces.Discrete(3, start=-1), spaces.Discrete(3), [0, 2], [-1, 1]),
        (spaces.Discrete(2, start=5), spaces.Discrete(2), [1, 0], [6, 5]),
        (spaces.Discrete(4), spaces.Discrete(4), [3, 0], [3, 0]),
        (
            spaces.MultiDiscrete([2, 3], start=[1, -2]),
            spaces.MultiDiscrete([2, 3]),
            [[0, 0], [1, 2]],
            [[1, -2], [2, 0]],
        ),
    ],
)
def test_actions_are_counted_from_zero(mode, space, counted, actions, taken) -> None:
    envs = [Takes(space) for _ in range(2)]
    vector = SyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=mode)
    venv = GymnasiumVecEnv(vector)
    assert venv.action_space == counted
    venv.reset()
    venv.step(np.array(actions))
    assert [env.taken[-1] for env in envs] == taken
