"""What the tests of swapped encoders share: environments, linear encoders and agents."""

from __future__ import annotations

import functools

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

import envs  # noqa: F401 - registers PixelReach-v0
import latentrl as lrl
from latentrl.wrappers.episodic_count import VecEpisodicCount
from latentrl.wrappers.sb3 import LatentVecEnv

N, DIM, SIZE = 3, 4, 60
"""Environments, size of latents, and steps that a replay buffer holds."""


class Drift(gym.Env):
    """Vectors of which no two are equal; episodes of 3 to 6 steps, every other one truncated."""

    def __init__(self):
        self.observation_space = spaces.Box(-np.inf, np.inf, (DIM,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left, self.truncates = (
            int(self.np_random.integers(3, 7)),
            bool(self.np_random.integers(2)),
        )
        return self.observe(), {}

    def step(self, action):
        self.left -= 1
        ended = self.left == 0
        terminated, truncated = ended and not self.truncates, ended and self.truncates
        return self.observe(), float(action), terminated, truncated, {}

    def observe(self):
        return self.np_random.standard_normal(DIM).astype(np.float32)


class Linear:
    """Latents that are an invertible linear function of a vector."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.observation_space = spaces.Box(-np.inf, np.inf, (DIM,), np.float32)
        self.latent_space = spaces.Box(-999, 999, (DIM,), np.float32)
        self.matrix = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0] * rng.uniform(0.5, 2, DIM)
        self.offset = rng.standard_normal(DIM)
        self.decoded = []

    def encode(self, observations):
        return ((observations - self.offset) @ self.matrix).astype(np.float32)

    def decode(self, latents):
        self.decoded.append(len(latents))
        return (latents @ np.linalg.inv(self.matrix) + self.offset).astype(np.float32)


class Blind(Linear):
    """Has no decoder."""

    decode = None


def observing(encoder, stack=1, normalised=True, count=False, make=Drift, **wrapping):
    venv = lrl.wrap(DummyVecEnv([make] * N), encoder, **wrapping)
    venv = VecEpisodicCount(venv) if count else venv
    venv = VecFrameStack(venv, stack) if stack > 1 else venv
    return VecNormalize(venv, norm_reward=False, clip_obs=1e3) if normalised else venv


def make_dqn(venv, **options):
    """Build an agent that acts at random and fills its replay buffer."""
    policy = {"policy_kwargs": {"net_arch": [4]}, "seed": 0, "device": "cpu"}
    return DQN(
        "MlpPolicy",
        venv,
        buffer_size=SIZE * N,
        learning_starts=10_000,
        train_freq=2,
        **policy,
        **options,
    )


def make_ppo(venv):
    return PPO("MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu")


def stored(model):
    """Return all latents that an agent keeps, without normalisation."""
    buffer = model.replay_buffer
    now = {"original": model._last_original_obs}
    if model.get_vec_normalize_env() is None:
        now = {"last": model._last_obs}
    return {
        "observations": buffer.observations,
        "next_observations": buffer.next_observations,
        **now,
    }


def same_latents(model, other):
    mine, theirs = stored(model), stored(other)
    return all(np.abs(mine[name] - theirs[name]).max() < 1e-5 for name in theirs)


def find(model):
    venv = model.get_env()
    while not isinstance(venv, LatentVecEnv):
        venv = venv.venv
    return venv


REACH = functools.partial(gym.make, "PixelReach-v0")


def image_model(seed, preprocessing=lrl.Preprocessing()):
    torch.manual_seed(seed)
    backbone = {"name": "mlp", "hidden": (16,)}
    return lrl.ae(
        (32, 32, 3), latent_dim=DIM, preprocessing=preprocessing, backbone=backbone
    ).eval()
