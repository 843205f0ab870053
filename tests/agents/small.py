"""Agents small enough to train in a test, one of each algorithm, and how to save and train them."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import latentrl as lrl
from agents.algorithms import ALGORITHMS, find_algorithm
from agents.algorithms.hyperparameters import read_defaults
from agents.checkpoint import WEIGHTS, build, read_agent, save_agent
from agents.config import AgentConfig
from agents.runs import env_folder
from agents.train import TrainConfig, train
from agents.venv import build_monitored, build_venv
from envs import Environment, make_env
from latentrl.utils.io import write_tensors

REACH = Environment("PixelReach-v0")
CONTINUOUS = Environment("tests.helpers:continuous_reach")

ON_POLICY = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "policy_kwargs": {"net_arch": [16]}}
OFF_POLICY = {
    "buffer_size": 80,
    "learning_starts": 20,
    "batch_size": 8,
    "gradient_steps": 2,
    "policy_kwargs": {"net_arch": [16]},
}
CHANGES = {
    "ppo": ON_POLICY,
    "recurrent_ppo": {**ON_POLICY, "policy_kwargs": {"net_arch": [16], "lstm_hidden_size": 8}},
    "dqn": {**OFF_POLICY, "target_update_interval": 10},
    "qrdqn": {**OFF_POLICY, "target_update_interval": 10},
    "sac": OFF_POLICY,
}
"""What makes the tuned defaults of each algorithm small."""


def action_space(environment):
    return make_env(environment).action_space


CASES = [
    (algo, environment)
    for algo in ALGORITHMS
    for environment in (REACH, CONTINUOUS)
    if find_algorithm(algo).accepts(action_space(environment))
]
"""Every algorithm in every environment whose actions it accepts."""


def as_words(changes):
    """The command line's form of hyperparameters."""
    return tuple(f"{name}:{json.dumps(value)}" for name, value in changes.items())


def small_hyperparameters(algo, environment=REACH, **changes):
    spec = find_algorithm(algo)
    defaults = read_defaults(spec, environment.id, True, action_space(environment))
    return {**defaults, "n_envs": 2, **CHANGES.get(algo, {}), **changes}


def small_config(algo="ppo", environment=REACH, *, stack=2, pixels=None, **changes):
    hyperparameters = small_hyperparameters(algo, environment, **changes)
    return AgentConfig(environment, algo, stack, hyperparameters, pixels)


def make_venv(config, encoder, seed=0, training=True):
    monitored = build_monitored(config.environment, n_envs=2, seed=seed, backend="gymnasium")
    return build_venv(config, encoder, monitored, training)


def trained(config, encoder, timesteps):
    venv = make_venv(config, encoder)
    return build(config, venv, seed=1).learn(timesteps), venv


def save_run(folder, encoder, environment=REACH, **changes):
    """A run's folder with an agent that was never trained, but has counted 123 timesteps."""
    config = replace(small_config("ppo", environment), **changes)
    venv = build_venv(config, encoder, build_monitored(environment, n_envs=1, seed=0))
    model = build(config, venv)
    model.num_timesteps = 123
    save_agent(folder / "best", config, model, venv)
    lrl.save(encoder, folder / "encoder")
    venv.close()
    return folder


def store_validation(run, **notes):
    """Store the validation of a run's best checkpoint."""
    _, tensors, header = read_agent(run / "best")
    write_tensors(run / "best" / WEIGHTS, tensors, {"agent": {**header, "validation": notes}})


def tiny_train(encoder, clock=time.monotonic, **flags):
    """Train PPO for 192 timesteps with three validations."""
    lrl.save(encoder, env_folder("vae", "PixelReach-v0") / "random-1")
    defaults = {"timesteps": 192, "eval_every": 64, "eval_episodes": 3, "backend": "gymnasium"}
    small = {"n_envs": 2, "hyperparams": as_words(CHANGES.get(flags.get("algo", "ppo"), {}))}
    config = {"env": "PixelReach-v0", **defaults, **small, **flags}
    return train(TrainConfig(**config), clock)
