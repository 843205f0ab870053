from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from envs.pixel_reach import AGENT, FLOOR, GOAL, PixelReach
from tests.helpers import same


def test_factors_are_the_cells_of_the_squares():
    env = PixelReach()
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        row, column, goal_row, goal_column = info["factors"]
        assert (row, column) != (goal_row, goal_column)
        cells = observation[::8, ::8]
        assert tuple(cells[row, column]) == AGENT
        assert tuple(cells[goal_row, goal_column]) == GOAL
        assert (cells == FLOOR).all(axis=-1).sum() == 14


def test_moves_rewards_and_the_edge_of_the_board():
    env = PixelReach()
    env.reset(seed=0)
    env._agent, env._goal = np.array([0, 0]), np.array([1, 1])
    # Up and left off the board, then right.
    for action, place in ((0, [0, 0]), (2, [0, 0]), (3, [0, 1])):
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated) == (-0.05, False, False)
        assert info["factors"].tolist() == [*place, 1, 1]
    observation, reward, terminated, truncated, _ = env.step(1)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert tuple(observation[8, 8]) == AGENT


@pytest.mark.parametrize(
    ("action", "move"), [([0.2, -0.9], (0, -1)), ([-0.9, 0.2], (-1, 0)), ([0.5, 0.4], (1, 0))]
)
def test_continuous_actions_move_along_the_larger_component(action, move):
    env = PixelReach(continuous=True)
    env.reset(seed=0)
    env._agent, env._goal = np.array([1, 1]), np.array([3, 3])
    _, _, _, _, info = env.step(np.array(action, np.float32))
    assert tuple(info["factors"][:2] - 1) == move


def test_episodes_are_truncated_after_20_steps():
    env = gym.make("PixelReach-v0")
    env.reset(seed=0)
    env.unwrapped._agent, env.unwrapped._goal = np.array([0, 0]), np.array([3, 3])
    ends = [env.step(0)[2:4] for _ in range(20)]
    assert ends == [(False, False)] * 19 + [(False, True)]


@pytest.mark.filterwarnings("ignore:The minimal resolution for an image is 36x36")
@pytest.mark.parametrize("continuous", [False, True])
def test_the_checkers_of_gymnasium_and_sb3_pass(continuous):
    env = gym.make("PixelReach-v0", continuous=continuous, render_mode="rgb_array")
    check_env(env.unwrapped)
    check_env_for_sb3(env)
    assert same(env.render(), env.unwrapped._draw())
