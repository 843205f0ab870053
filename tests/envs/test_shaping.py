"""Shaping: judgements beside the rewards, early ends, and what CarRacing's frames show."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.shaping import AddShaping
from agents.venv import build_monitored
from envs import Environment, make_vector
from envs.car_racing.shaping import speed, wheels_on_grass
from envs.shaping import Shaping

LOST = (5, 6, 7)
"""Times at which ``Counter`` is lost; they follow each other."""


class Counter(gym.Env):
    """Observes the time of the episode, which ends after ``length`` steps, and rewards 1."""

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observation(), {}

    def step(self, action):
        self.time += 1
        return self.observation(), 1.0, False, self.time == self.length, {}

    def observation(self):
        return np.array([self.time], np.float32)


class Judge(Shaping):
    patience, ending = 6, -10.0

    def judge(self, observations, actions):
        times = observations[:, 0]
        return -times, np.isin(times, LOST)


def vector(*lengths, skip=2):
    makers = [lambda length=length: Counter(length) for length in lengths]
    return Judge(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP), skip)


def test_judgements_are_beside_the_rewards_and_lost_episodes_end():
    envs = vector(4, 50)
    envs.reset(seed=0)
    seen = [envs.step(np.zeros(2, int)) for _ in range(8)]
    shaping = np.array([step[4]["shaping"] for step in seen])
    # The first ends by itself at every fourth step. The second is lost for 3 steps of 2 frames.
    assert shaping[:, 0].tolist() == [-2, -4, -6, 0, -2, -4, -6, 0]
    assert shaping[:, 1].tolist() == [-2, -4, -6, -8, -10, -12, -14 - 10, -2]
    assert all((step[1] == 1).all() for step in seen)
    assert [bool(step[2][1]) for step in seen] == [False] * 6 + [True, False]
    observations, _, terminated, truncated, infos = seen[6]
    assert infos["final_obs"][1].tolist() == [7]
    assert infos["_final_obs"].tolist() == [False, True]
    assert observations[:, 0].tolist() == [3, 0]
    assert terminated.tolist() == [False, True]
    assert not truncated.any()


def test_ends_of_both_kinds_in_one_step():
    envs = vector(7, 50)
    envs.reset(seed=0)
    for _ in range(7):
        observations, _, terminated, truncated, infos = envs.step(np.zeros(2, int))
    assert (truncated.tolist(), terminated.tolist()) == ([True, False], [False, True])
    assert [final.tolist() for final in infos["final_obs"]] == [[7], [7]]
    assert observations[:, 0].tolist() == [0, 0]
    # Neither is lost at the beginning of the next episode.
    assert not any(envs.step(np.zeros(2, int))[2].any() for _ in range(6))


def test_the_agent_learns_from_the_sum_and_the_monitor_sees_the_rewards():
    environment = Environment("CarRacing-v3", frame_skip=4)
    venv = build_monitored(environment, n_envs=2, seed=1, shaped=True)
    assert isinstance(venv, AddShaping)
    venv.reset()
    spin = np.array([[1.0, 1.0, 0.0]] * 2, np.float32)
    rewards, added = np.zeros(2), np.zeros(2)
    for _ in range(200):  # of 250: the car comes onto the grass
        _, given, dones, infos = venv.step(spin)
        rewards += given
        added += [info["shaping"] for info in infos]
        if dones.any():
            break
    venv.close()
    first = int(np.flatnonzero(dones)[0])
    assert added[first] < -25
    assert infos[first]["episode"]["r"] == pytest.approx(rewards[first] - added[first], abs=1e-3)


def test_frames_show_the_wheels_on_the_grass_and_the_speed():
    env = gym.make("CarRacing-v3")
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    rows = []
    for step in range(200):
        action = np.array([rng.uniform(-0.4, 0.4), 0.5, 0.0], np.float32)
        frame = env.step(action)[0][None]
        car = env.unwrapped.car
        on_grass = sum(not wheel.tiles for wheel in car.wheels)
        true_speed = np.hypot(*car.hull.linearVelocity)
        if step > 50:  # the camera comes down
            rows.append((on_grass, wheels_on_grass(frame)[0], true_speed, speed(frame)[0]))
    env.close()
    grass, seen_grass, true, seen = np.array(rows).T
    assert {0, 4} <= set(grass)
    # A pixel beside a wheel is on the grass a little earlier.
    assert np.abs(grass - seen_grass).mean() < 0.5
    assert np.mean((grass == 4) == (seen_grass == 4)) > 0.97
    assert np.abs(true - seen).max() < 5


def test_environments_without_shaping():
    with pytest.raises(
        ValueError, match="PixelReach-v0 has no shaping; families with one: car_racing"
    ):
        make_vector(Environment("PixelReach-v0"), 2, shaped=True)
    rendered = Environment("CarRacing-v3", render_size=64)
    with pytest.raises(ValueError, match="CarRacing-v3 is for its own observations, not for rend"):
        make_vector(rendered, 2, shaped=True)
