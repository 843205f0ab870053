"""What the flags of ``train_agent`` do, and one clear line for each mistake."""

from __future__ import annotations

import pytest

import latentrl as lrl
from agents.algorithms import ALGORITHMS
from agents.checkpoint import read_agent
from agents.runs import SCRIPTS
from tests.scripts.running import (
    CUSTOM,
    REACH,
    TRAIN,
    printed_command,
    save_random_encoder,
    script,
    small,
    succeed,
)


def test_unknown_algorithm(tmp_path):
    done = script(tmp_path, "train_agent", "--algo", "a3c")
    assert done.code == 2
    text = " ".join(done.err.replace("│", " ").split())
    assert f"unknown algorithm 'a3c'; known: {', '.join(ALGORITHMS)}" in text


def test_help_lists_the_algorithms(tmp_path):
    text = " ".join(script(tmp_path, "train_agent", "--help").out.replace("│", " ").split())
    assert f"One of: {', '.join(ALGORITHMS)}." in text
    assert "--hyperparams NAME:VALUE" in text


def test_hyperparameters_in_a_file(tmp_path):
    save_random_encoder(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "env: PixelReach-v0\nn_envs: 2\ntimesteps: 64\neval_episodes: 1\n"
        "hyperparams: {n_steps: 32, batch_size: 64, gamma: 0.5, policy_kwargs.net_arch: [4, 3]}\n"
    )
    words = ["--hyperparams", "ent_coef:0.1", "--seed", "1", "--hyperparams", "batch_size:32"]
    done = succeed(tmp_path, "train_agent", "--config", "mine.yaml", *words)
    hyperparameters = read_agent(tmp_path / "runs/agents/PixelReach-v0/ppo-latent-1/last")[
        0
    ].hyperparameters
    chosen = ("gamma", "n_steps", "batch_size", "ent_coef")
    assert [hyperparameters[name] for name in chosen] == [0.5, 32, 32, 0.1]
    assert hyperparameters["policy_kwargs"]["net_arch"] == [4, 3]
    assert "  gamma: 0.5\n" in done.out


def test_unknown_hyperparameter(tmp_path):
    save_random_encoder(tmp_path)
    done = script(tmp_path, "train_agent", *REACH, "--hyperparams", "gama:0.9")
    assert done.code == 2
    assert done.err.startswith("error: PPO has no hyperparameter 'gama'; known: batch_size, ")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "runs" / "agents").exists()


def test_no_encoder_prints_the_command_that_makes_one(tmp_path):
    done = script(tmp_path, "train_agent", "--latent", *REACH)
    assert done.code == 2
    assert done.err == (
        "error: no pretrained encoder for PixelReach-v0 in runs/vae/PixelReach-v0; make one with\n"
        f"  python {SCRIPTS / 'pretrain_vae.py'} --env PixelReach-v0\n"
    )
    assert not (tmp_path / "runs").exists()


def test_no_agent_and_no_environment(tmp_path):
    done = script(tmp_path, "evaluate_agent", "--agent", "runs/none")
    assert done.code == 2
    assert "error: no agent at runs/none" in done.err
    done = script(tmp_path, "pretrain_vae", "--env", "PixelReech-v0")
    assert done.code == 2
    assert "Did you mean: `PixelReach`" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_learning_from_pixels(algo, tmp_path):
    done = succeed(tmp_path, "train_agent", "--no-latent", *REACH, *small(algo), *TRAIN)
    path = tmp_path / "runs/agents/PixelReach-v0" / f"{algo}-pixels-1"
    assert not (path / "encoder").exists()
    assert not read_agent(path / "best")[0].latent
    command = printed_command(done.out, "evaluate_agent")[:2]
    succeed(tmp_path, "evaluate_agent", *command, "--episodes", 2)


def test_learning_from_rendered_images(tmp_path):
    pole = ["--env", "CartPole-v1"]
    short = ["--size", 32, "--model", "pca", "--frames", 64]
    succeed(tmp_path, "pretrain_vae", *pole, "--from-render", *short)
    assert lrl.load(tmp_path / "runs/vae/CartPole-v1/pca-1").observation_space.shape == (32, 32, 3)
    succeed(tmp_path, "train_agent", *pole, *small(), *TRAIN)
    config = read_agent(tmp_path / "runs/agents/CartPole-v1/ppo-latent-1/last")[0]
    assert config.environment.render_size == 32


def test_continuous_actions_by_sac(tmp_path):
    reach = ["--env", "tests.helpers:continuous_reach"]
    save_random_encoder(tmp_path, env=reach[1])
    done = succeed(tmp_path, "train_agent", *reach, *small("sac"), *TRAIN)
    path = tmp_path / "runs/agents/tests.helpers.continuous_reach/sac-latent-1"
    assert "sac in tests.helpers:continuous_reach, hyperparameters:" in done.out
    assert "variables.log_ent_coef" in read_agent(path / "last")[1]


@pytest.mark.filterwarnings("ignore:the encoder may miss")
def test_custom_environment(tmp_path):
    (tmp_path / "my_line.py").write_text(CUSTOM)
    mine = ["--env", "my_line:Line"]
    short = ["--model", "pca", "--latent-dim", 4, "--frames", 64, "--size", 16]
    succeed(tmp_path, "pretrain_vae", *mine, *short)
    done = succeed(tmp_path, "train_agent", *mine, *small(), *TRAIN)
    path = tmp_path / "runs" / "agents" / "my_line.Line" / "ppo-latent-1"
    assert (path / "best" / "agent.safetensors").exists()
    command = printed_command(done.out, "evaluate_agent")
    assert command[-2:] == mine
    succeed(tmp_path, "evaluate_agent", *command, "--episodes", 2)
    done = script(tmp_path, "evaluate_agent", *command[:2], "--episodes", 2)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "repeat it with --env my_line:Line, or add --trust if you trust the folder" in done.err
    done = script(tmp_path, "train_agent", "--env", "no_such_file:Line", "--no-latent")
    assert done.code == 2
    assert "error: cannot import 'no_such_file'" in done.err
