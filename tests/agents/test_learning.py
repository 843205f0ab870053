"""Agents reach the goal of PixelReach from the principal components of its frames."""

from __future__ import annotations

import pytest

import latentrl as lrl
from agents.checkpoint import build
from agents.config import AgentConfig
from agents.evaluate import TEST_SEED, evaluate_random, make_test_envs
from agents.play import actor, play
from agents.venv import build_monitored, build_venv
from envs import Environment, make_vector

REACH = Environment("PixelReach-v0")
CONTINUOUS = Environment("tests.helpers:continuous_reach")
TENS = Environment("tests.helpers:reach_in_tens")
EPISODES = 100
GOOD = 0.85
"""Shortest paths have a mean return of 0.92, uniform random actions one of about -0.2."""

PPO = {
    "n_envs": 16,
    "timesteps": 40_960,
    "n_steps": 64,
    "batch_size": 256,
    "n_epochs": 8,
    "learning_rate": "lin_2e-3",
    "gamma": 0.95,
    "ent_coef": 0.01,
    "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "tanh"},
}
GAUSSIAN = {
    **PPO,
    "timesteps": 60_000,
    "learning_rate": "lin_1e-3",
    "ent_coef": 0.0,
    "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "tanh", "log_std_init": -1.5},
}
DQN = {
    "n_envs": 8,
    "timesteps": 24_000,
    "learning_rate": 1e-3,
    "buffer_size": 24_000,
    "learning_starts": 1_000,
    "batch_size": 128,
    "train_freq": 4,
    "gradient_steps": 8,
    "target_update_interval": 500,
    "exploration_fraction": 0.5,
    "exploration_final_eps": 0.05,
    "gamma": 0.9,
    "policy_kwargs": {"net_arch": [64, 64]},
}
QRDQN = {**DQN, "policy_kwargs": {"net_arch": [64, 64], "n_quantiles": 10}}
SAC = {
    "n_envs": 8,
    "timesteps": 10_000,
    "learning_rate": 1e-3,
    "buffer_size": 10_000,
    "learning_starts": 1_000,
    "batch_size": 128,
    "train_freq": 4,
    "gradient_steps": 16,
    "ent_coef": "auto_0.1",
    "gamma": 0.9,
    "policy_kwargs": {"net_arch": [64, 64]},
}
CASES = [
    ("ppo", PPO, REACH, GOOD),
    pytest.param("ppo", GAUSSIAN, TENS, GOOD, marks=pytest.mark.slow, id="ppo-tens"),
    pytest.param("dqn", DQN, REACH, GOOD, marks=pytest.mark.slow),
    pytest.param("qrdqn", QRDQN, REACH, GOOD, marks=pytest.mark.slow),
    pytest.param("sac", SAC, CONTINUOUS, 0.5, marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Principal components of 1,500 frames: 30 of them determine where both squares are."""
    vector = make_vector(REACH, 8)
    frames = lrl.collect(
        vector, 1500, tmp_path_factory.mktemp("frames") / "store", policy="random", progress=False
    )
    vector.close()
    model = lrl.pca(frames.space, latent_dim=30)
    lrl.fit(model, frames, progress=False)
    return model


def train_and_play(algo, hyperparameters, environment, encoder, seed):
    config = AgentConfig(environment, algo, 1, hyperparameters, scaled_actions=True)
    training = build_monitored(environment, n_envs=hyperparameters["n_envs"], seed=seed)
    venv = build_venv(config, encoder, training)
    agent = build(config, venv, seed)
    agent.learn(hyperparameters["timesteps"])
    test_envs = make_test_envs(environment, EPISODES, "gymnasium", TEST_SEED)
    test_venv = build_venv(config, encoder, test_envs, training=False)
    test_venv.obs_rms = venv.obs_rms
    return play(test_venv, actor(agent, deterministic=True), EPISODES)


@pytest.mark.parametrize(("algo", "hyperparameters", "environment", "good"), CASES)
def test_an_agent_learns_from_latents(algo, hyperparameters, environment, good, encoder):
    result = train_and_play(algo, hyperparameters, environment, encoder, seed=0)
    random = evaluate_random(environment, EPISODES, progress=False)
    assert random.mean < 0, f"random actions reached {random.mean:.2f}"
    assert result.mean > good, f"{algo} reached {result.mean:.2f}, random {random.mean:.2f}"
