"""Algorithms by name, the actions that they accept, and what building one refuses."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from agents.algorithms import (
    ALGORITHMS,
    AlgorithmSpec,
    check_actions,
    check_new_actions,
    find_algorithm,
)
from agents.algorithms.hyperparameters import check_names, read_defaults
from agents.checkpoint import build
from agents.train import TrainConfig, describe_agent
from agents.venv import build_monitored, build_venv
from envs import Environment
from tests.agents.small import CASES, CONTINUOUS, REACH, make_venv, small_config
from tests.helpers import ROOT

BOX, DISCRETE = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
car_racing_2 = pytest.mark.filterwarnings("ignore:.*CarRacing-v2 is out of date")


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_is_complete(name):
    spec = find_algorithm(name)
    assert spec.cls.__name__.lower() == name.replace("_", "")
    assert ALGORITHMS[name].__doc__.count("arXiv") + ALGORITHMS[name].__doc__.count("Nature")
    for latent in (True, False):
        for actions in (BOX, DISCRETE):
            hyperparameters = read_defaults(spec, "Mine-v0", latent, actions)
            check_names(hyperparameters, spec, latent)
            assert {"n_envs", "timesteps", "gamma"} <= set(hyperparameters)


@pytest.mark.parametrize(("algo", "environment"), CASES)
def test_every_algorithm_is_built_with_the_seed(algo, environment, encoder):
    config = small_config(algo, environment)
    weights = [
        build(config, make_venv(config, encoder), seed).policy.state_dict() for seed in (1, 1, 2)
    ]
    first, again, other = (torch.cat([v.flatten() for v in each.values()]) for each in weights)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_general_code_names_no_algorithm():
    files = [ROOT / "agents" / "algorithms" / "base.py", *(ROOT / "agents").glob("*.py")]
    quoted = re.compile("|".join(f"[\"']{name}[\"']" for name in ALGORITHMS))
    classes = re.compile(
        "|".join(rf"\b{find_algorithm(name).cls.__name__}\(" for name in ALGORITHMS)
    )
    found = {
        f"{file.name}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if quoted.search(line) or classes.search(line) or "isinstance(model, " in line
    }
    general = {line for line in found if "OffPolicyAlgorithm" not in line}
    default = [line for line in general if line.endswith('= "ppo"')]
    assert general == set(default)
    assert len(default) == 1, "the default of --algo"


def test_unknown_algorithm():
    message = f"unknown algorithm 'a3c'; known: {', '.join(ALGORITHMS)}"
    with pytest.raises(ValueError, match=message):
        find_algorithm("a3c")
    with pytest.raises(ValueError, match=message):
        TrainConfig(algo="a3c")


@pytest.mark.parametrize(
    ("algo", "space", "needed"),
    [("dqn", BOX, "Discrete"), ("qrdqn", BOX, "Discrete"), ("sac", DISCRETE, "Box")],
)
def test_actions_that_an_algorithm_cannot_take(algo, space, needed):
    others = [name for name in ALGORITHMS if find_algorithm(name).accepts(space)]
    message = f"{algo} needs {needed} actions, Mine-v0 has {space}; use one of: {', '.join(others)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_actions(algo, space, "Mine-v0")
    assert "ppo" in others
    check_actions("ppo", space, "Mine-v0")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            spaces.Box(0, 2, (1,), np.int64),
            "Mine-v0 takes whole numbers in a Box, Box.*: make",
        ),
        (
            spaces.Box(0, np.inf, (1,)),
            "actions without finite bounds, Box.*: give them bounds",
        ),
        (
            spaces.MultiDiscrete([[3, 3]]),
            r"actions of shape \(1, 2\), MultiDiscrete.* of one dimension: flatten them",
        ),
        (spaces.MultiBinary((2, 2)), r"actions of shape \(2, 2\), MultiBinary"),
    ],
)
def test_actions_that_no_agent_can_learn_in(space, message):
    with pytest.raises(ValueError, match=message):
        check_new_actions(space, "Mine-v0")
    check_new_actions(BOX, "Mine-v0")
    check_new_actions(DISCRETE, "Mine-v0")


@pytest.mark.parametrize(("algo", "environment"), [("dqn", CONTINUOUS), ("sac", REACH)])
def test_actions_are_checked_before_training(algo, environment, encoder):
    message = re.escape(f"{algo} needs ") + ".*" + re.escape(environment.id)
    config = dataclasses.replace(small_config(), algo=algo, environment=environment)
    with pytest.raises(ValueError, match=message):
        build(config, make_venv(config, encoder))
    with pytest.raises(ValueError, match=message):
        describe_agent(TrainConfig(env=environment.id, algo=algo), encoder)


def test_a_package_that_is_not_installed():
    spec = AlgorithmSpec("no_such_package.sub:Mine", (), None, requirement="latentrl[mine]")
    with pytest.raises(
        ValueError,
        match=r"Mine needs the package no_such_package.sub: pip install 'latentrl\[mine\]'",
    ):
        spec.cls  # noqa: B018
    assert find_algorithm("qrdqn").requirement == "latentrl[contrib]"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "stable_baselines3:TD4",
            "source='stable_baselines3:TD4': stable_baselines3 has no algo.*",
        ),
        ("stable_baselines3:common", "stable_baselines3 has no algorithm 'common' of SB3"),
        ("stable_baselines3.TD3", "is module:Class, got 'stable_baselines3.TD3'"),
    ],
)
def test_a_source_without_an_algorithm(source, message):
    with pytest.raises(ValueError, match=message):
        AlgorithmSpec(source, ()).cls  # noqa: B018


def test_ppo_draws_continuous_actions_with_a_deviation_of_its_own(encoder):
    for environment, continuous in ((CONTINUOUS, True), (REACH, False)):
        flags = TrainConfig(env=environment.id, hyperparams=("batch_size:128",))
        config = describe_agent(flags, encoder)
        assert ("log_std_init" in config.hyperparameters["policy_kwargs"]) == continuous
        policy = build(config, make_venv(config, encoder)).policy
        assert isinstance(policy.mlp_extractor.policy_net[1], torch.nn.ReLU)
        if continuous:
            assert policy.log_std.tolist() == [-1.5] * len(policy.log_std)


def test_hyperparameters_that_an_algorithm_cannot_be_built_with(encoder):
    messages = {
        "ppo cannot be built: .*'n_steps': 'many'": {"n_steps": "many"},
        "can only be used with continuous actions": {"use_sde": True},
        "sac cannot be built: .*'ent_coef': 'much'": {"ent_coef": "much"},
    }
    for message, changes in messages.items():
        algo, environment = ("sac", CONTINUOUS) if "sac" in message else ("ppo", REACH)
        config = small_config(algo, environment, **changes)
        with pytest.raises(ValueError, match=message):
            build(config, make_venv(config, encoder))


@car_racing_2
def test_algorithms_without_continuous_actions_take_the_discrete_variant():
    encoder = lrl.random((96, 96, 3), preprocessing=lrl.Preprocessing((0, 12, 0, 0), (64, 64)))
    for algo, discrete in (("dqn", True), ("qrdqn", True), ("ppo", False), ("sac", False)):
        config = describe_agent(TrainConfig(algo=algo), encoder)
        assert config.environment == Environment("CarRacing-v2", frame_skip=4, discrete=discrete)
        assert config.stack == 4
    discrete = describe_agent(TrainConfig(algo="dqn"), encoder).environment
    for backend in ("envpool", "gymnasium"):
        if backend == "envpool":
            pytest.importorskip("envpool")
        venv = build_monitored(discrete, n_envs=1, seed=0, backend=backend)
        assert venv.action_space == spaces.Discrete(5)
        venv.close()


@car_racing_2
def test_the_pixel_baseline_of_continuous_actions():
    config = describe_agent(TrainConfig(env="CarRacing-v2", latent=False), None)
    assert config.environment == Environment("CarRacing-v2", frame_skip=4)
    assert (config.stack, config.pixels) == (4, lrl.Preprocessing(size=(64, 64), greyscale=True))
    venv = build_venv(config, None, build_monitored(config.environment, n_envs=2, seed=0))
    model = build(config, venv, device="cpu")
    assert (venv.norm_obs, venv.norm_reward) == (False, True)
    assert config.hyperparameters["n_envs"] == 16
    assert model.observation_space.shape == (4, 64, 64)
    assert type(model.policy).__name__ == "ActorCriticCnnPolicy"
    assert (model.n_steps, model.batch_size, model.n_epochs) == (128, 256, 4)
    assert (model.gamma, model.gae_lambda, model.ent_coef, model.vf_coef) == (0.99, 0.95, 0, 0.5)
    assert (model.clip_range(1), model.max_grad_norm) == (0.1, 0.5)
    assert (model.lr_schedule(1), model.lr_schedule(0.5)) == (2.5e-4, 1.25e-4)
    assert not model.use_sde
    assert (model.policy.log_std == -1.5).all()
    assert model.target_kl == 0.03
    venv.close()
