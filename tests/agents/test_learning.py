from __future__ import annotations

import pytest

import latentrl as lrl
from agents.checkpoint import build
from agents.config import AgentConfig
from agents.evaluate import UNSEEN_SEED, evaluate_random, make_unseen, play
from agents.venv import build_monitored, build_venv
from envs import Environment, make_vector

REACH = Environment("PixelReach-v0")
EPISODES = 200
GOOD = 0.85
"""Shortest paths pay 0.92 on average, uniform random actions about -0.2."""

SETTINGS = {
    "ppo": {
        "n_envs": 16,
        "timesteps": 40_960,
        "n_steps": 64,
        "batch_size": 256,
        "n_epochs": 8,
        "learning_rate": "lin_2e-3",
        "gamma": 0.95,
        "ent_coef": 0.01,
        "policy_kwargs": {"net_arch": [64, 64], "activation_fn": "tanh"},
    },
    "dqn": {
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
    },
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Principal components of 1,500 frames: 30 of them tell where both squares are."""
    vector = make_vector(REACH, 8)
    frames = lrl.collect(
        vector, 1500, tmp_path_factory.mktemp("frames") / "store", policy="random", progress=False
    )
    vector.close()
    model = lrl.pca(frames.space, latent_dim=30)
    lrl.fit(model, frames, progress=False)
    return model


def train_and_play(algo, encoder, seed):
    config = AgentConfig(REACH, algo, stack=1, settings=SETTINGS[algo])
    venv = build_venv(
        config, encoder, build_monitored(REACH, n_envs=config.settings["n_envs"], seed=seed)
    )
    agent = build(config, venv, seed)
    agent.learn(config.settings["timesteps"])
    unseen = build_venv(
        config, encoder, make_unseen(REACH, EPISODES, "gymnasium", UNSEEN_SEED), training=False
    )
    unseen.obs_rms = venv.obs_rms
    return play(unseen, lambda codes: agent.predict(codes, deterministic=True)[0], EPISODES)


@pytest.mark.parametrize("algo", SETTINGS)
def test_an_agent_learns_from_codes(algo, encoder):
    reached = train_and_play(algo, encoder, seed=0)
    random = evaluate_random(REACH, EPISODES, progress=False)
    assert random.mean < 0, f"random actions reached {random.mean:.2f}"
    assert reached.mean > GOOD, (
        f"{algo} reached {reached.mean:.2f}, random actions {random.mean:.2f}"
    )
