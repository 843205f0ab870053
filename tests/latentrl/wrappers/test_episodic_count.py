"""Episodic counts beside each latent, against a count by dictionaries."""

from __future__ import annotations

from collections import Counter

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

import latentrl as lrl
from latentrl.novelty import HashCounts
from latentrl.wrappers.episodic_count import VecEpisodicCount
from tests.helpers import Clock, FakeEncoder

ACTIONS, LENGTH = 3, 4


class Walk(gym.Env):
    """A position on a line as a latent of two numbers, truncated after a few steps."""

    observation_space = gym.spaces.Box(-20, 20, (2,), np.float32)
    action_space = gym.spaces.Discrete(ACTIONS)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = 0, 0
        return self.latent(), {}

    def step(self, action):
        self.place += int(action) - 1
        self.steps += 1
        return self.latent(), 0.0, False, self.steps == LENGTH, {}

    def latent(self):
        return np.array([self.place, -self.place], np.float32)


def test_each_latent_comes_with_its_episodic_count():
    venv, rng = VecEpisodicCount(DummyVecEnv([Walk] * 2)), np.random.default_rng(0)
    assert venv.observation_space == gym.spaces.Box(
        np.array([-20, -20, 0], np.float32), np.array([20, 20, 1], np.float32)
    )
    counts = [Counter({0: 1}) for _ in range(2)]
    np.testing.assert_array_equal(venv.reset(), [[0, 0, 1], [0, 0, 1]])
    finals = 0
    for _ in range(60):
        observations, _, dones, infos = venv.step(rng.integers(ACTIONS, size=2))
        assert observations.dtype == np.float32
        for i, info in enumerate(infos):
            place, _, count = info["terminal_observation"] if dones[i] else observations[i]
            counts[i][place] += 1
            assert count == pytest.approx(1 / np.sqrt(counts[i][place]))
            if dones[i]:
                finals += count < 1
                counts[i] = Counter({0: 1})
                np.testing.assert_array_equal(observations[i], [0, 0, 1])
    assert finals > 3


def test_a_reset_starts_the_counts_again():
    venv = VecEpisodicCount(DummyVecEnv([Walk]))
    venv.reset()
    assert venv.step(np.array([1]))[0][0, 2] == pytest.approx(1 / np.sqrt(2))
    assert venv.reset()[0, 2] == 1


class Losing(VecEnvWrapper):
    """Loses the terminal observations of the first environment."""

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        infos[0].pop("terminal_observation", None)
        return observations, rewards, dones, infos


def test_a_bonus_without_a_terminal_observation():
    """Its transitions lack an environment, and the counts do not."""

    def counted(bonus):
        venv = DummyVecEnv([lambda: Clock(0), lambda: Clock(1)])
        venv.seed(0)
        return VecEpisodicCount(lrl.wrap(Losing(venv), FakeEncoder(), novelty=bonus))

    def play(venv):
        return [venv.reset(), *(venv.step(np.zeros(2, int))[0] for _ in range(20))]

    with pytest.warns(UserWarning, match="returns no terminal observation where an episode ends"):
        scored = play(counted(HashCounts()))
    np.testing.assert_array_equal(scored, play(counted(None)))


def test_only_latents_are_counted():
    class Image(Walk):
        observation_space = gym.spaces.Box(0, 255, (8, 8, 1), np.uint8)

    with pytest.raises(
        ValueError,
        match=r"counts latents \(latent_dim,\), got observations Box.*: wrap the environment",
    ):
        VecEpisodicCount(DummyVecEnv([Image]))
    with pytest.raises(ValueError, match="positive width, got bits=32, width=0"):
        VecEpisodicCount(DummyVecEnv([Walk]), width=0)
