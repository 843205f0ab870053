"""PPO with a memory: its sequences against sb3-contrib's, its actions, and what it recalls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import latentrl as lrl
from agents.algorithms.recurrent_ppo import process_whole_sequences
from agents.checkpoint import build
from agents.config import AgentConfig
from agents.evaluate import TEST_SEED, make_test_envs
from agents.play import actor, play
from agents.self_imitation import keeps_episodes
from agents.train_config import TrainConfig
from agents.venv import build_monitored, build_venv
from envs import Environment
from tests.agents.recall import LENGTH
from tests.agents.small import CONTINUOUS, make_venv, small_config, trained

RECALL = Environment("tests.agents.recall:Recall")
EPISODES = 50


def refused(*arguments):
    raise AssertionError("timestep by timestep")


def gradients(policy, batch):
    policy.zero_grad()
    outputs = policy.evaluate_actions(
        batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
    )
    torch.cat([output.flatten() for output in outputs]).square().sum().backward()
    return [outputs[0], *(value.grad.clone() for value in policy.parameters())]


def test_sequences_are_processed_as_timestep_by_timestep(encoder):
    model, venv = trained(small_config("recurrent_ppo", CONTINUOUS, n_steps=64), encoder, 128)
    policy = model.policy
    one_by_one = type(policy)._process_sequence
    starts = 0
    for batch in model.rollout_buffer.get(32):
        starts += int(batch.episode_starts.sum())
        policy._process_sequence = one_by_one
        expected = gradients(policy, batch)
        policy._process_sequence = refused
        process_whole_sequences(model)
        for found, value in zip(gradients(policy, batch), expected, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)
    assert starts > 2, "sequences begin with episodes and amid them"
    venv.close()


def test_an_episode_that_starts_within_a_sequence_forgets(encoder):
    model = build(small_config("recurrent_ppo", CONTINUOUS), make_venv(small_config(), encoder))
    lstm = model.policy.lstm_actor
    inputs = torch.rand(6, lstm.input_size)
    state = tuple(torch.rand(1, 2, lstm.hidden_size) for _ in range(2))
    starts = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    outputs, after = model.policy._process_sequence(inputs, state, starts, lstm)
    expected = type(model.policy)._process_sequence(inputs, state, starts, lstm)
    torch.testing.assert_close((outputs, after), expected)


def test_an_actor_remembers_its_episode_alone(encoder):
    config = small_config("recurrent_ppo", CONTINUOUS)
    venv = make_venv(config, encoder)
    model = build(config, venv, seed=1)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(4, 2, *venv.observation_space.shape)).astype(np.float32)
    act, again = actor(model, deterministic=True), actor(model, deterministic=True)
    first = np.ones(2, bool)
    actions = [act(seen[0], first), act(seen[1], ~first)]
    assert not np.allclose(actions[1], again(seen[1], first)), "the first frame counts"
    restarted = act(seen[2], np.array([True, False]))
    fresh = actor(model, deterministic=True)(seen[2], first)
    np.testing.assert_allclose(restarted[0], fresh[0], atol=1e-6)
    assert not np.allclose(restarted[1], fresh[1])
    venv.close()


def recalled(algo, timesteps):
    """The mean return of an agent in an environment that only memory solves."""
    changes = {"n_envs": 8, "n_steps": 4 * LENGTH, "batch_size": 160, "n_epochs": 4}
    changes |= {"learning_rate": 3e-3, "gamma": 0.99, "ent_coef": 0.0}
    policy = {"net_arch": [16]} | ({"lstm_hidden_size": 16} if algo != "ppo" else {})
    encoder = lrl.random((16, 16, 1), latent_dim=4)
    config = AgentConfig(RECALL, algo, 1, {**changes, "policy_kwargs": policy})
    venv = build_venv(config, encoder, build_monitored(RECALL, n_envs=8, seed=0))
    agent = build(config, venv, seed=0).learn(timesteps)
    test_envs = make_test_envs(RECALL, EPISODES, "gymnasium", TEST_SEED)
    test_venv = build_venv(config, encoder, test_envs, training=False)
    test_venv.obs_rms = venv.obs_rms
    return play(test_venv, actor(agent, deterministic=True), EPISODES).mean


def test_memory_recalls_what_was_shown_once():
    assert recalled("ppo", 1_600) < 0.5
    assert recalled("recurrent_ppo", 6_400) == 1


def test_self_imitation_is_not_for_memory():
    with pytest.raises(ValueError, match="recurrent_ppo needs the timesteps before them: remove"):
        keeps_episodes(TrainConfig(algo="recurrent_ppo", self_imitation=True))
    assert not keeps_episodes(TrainConfig(algo="recurrent_ppo"))
