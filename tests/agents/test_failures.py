"""Trainings that fail leave a checkpoint from which they can be resumed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import latentrl as lrl
from agents.algorithms import find_algorithm
from agents.autosave import SaveByClock
from agents.checkpoint import WEIGHTS, build, read_agent, save_agent
from agents.runs import env_folder, python_script
from agents.train import TrainConfig, _Run, train
from agents.validation import ValidationCallback
from latentrl.data.environment import StepError
from latentrl.utils.io import write_tensors
from latentrl.utils.pipes import WorkerError
from tests.agents.small import CHANGES, as_words, make_venv, small_config, tiny_train, trained

FAILURES = (StepError, WorkerError)


def failing_train(encoder, env, algo="ppo", **flags):
    """Train in an environment that fails after 40 steps."""
    lrl.save(encoder, env_folder("vae", env) / "random-1")
    small = {"n_envs": 1, "hyperparams": as_words(CHANGES[algo])}
    never = {"timesteps": 600, "eval_every": 10_000, "backend": "gymnasium"}
    return train(TrainConfig(env=env, algo=algo, **{**small, **never, **flags}))


def last_of(env, algo):
    return env_folder("agents", env) / f"{algo}-latent-1" / "last"


@pytest.mark.filterwarnings("ignore:after the training ended by an error")
@pytest.mark.parametrize("name", ["NanReward", "InfiniteReward"])
@pytest.mark.parametrize("algo", ["ppo", "dqn", "qrdqn"])
def test_a_reward_that_is_not_finite_ends_training_and_poisons_no_checkpoint(algo, name, encoder):
    env = f"tests.agents.failing:{name}"
    message = r"environment 0 returned the reward (nan|-inf) at step 41: "
    with pytest.raises(ValueError, match=message):
        failing_train(encoder, env, algo)
    _, tensors, _ = read_agent(last_of(env, algo))
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.filterwarnings("ignore:after the training ended by an error")
@pytest.mark.parametrize(
    ("algo", "name", "n_envs"), [("ppo", "Raising", 1), ("dqn", "Raising", 1), ("ppo", "Dying", 2)]
)
def test_state_is_saved_when_an_environment_fails(algo, name, n_envs, encoder, capsys):
    env = f"tests.agents.failing:{name}"
    with pytest.raises(FAILURES):
        failing_train(encoder, env, algo, n_envs=n_envs, minutes=30.0, device="cpu")
    assert read_agent(last_of(env, algo))[2]["timesteps"] == 40 * n_envs
    script = " ".join(python_script("train_agent.py"))
    command = (
        f"{script} --resume --out {last_of(env, algo).parent} --minutes 30 --device cpu --env {env}"
    )
    assert f"what was done is saved. Continue with\n  {command}\n" in capsys.readouterr().err


def test_a_failed_save_names_the_earlier_one(encoder, monkeypatch, capsys):
    saves = []

    def full_disk(*arguments, **options):
        if saves:
            raise OSError("No space left on device")
        saves.append(save_agent(*arguments, **options))

    monkeypatch.setattr("agents.train.save_agent", full_disk)
    with (
        pytest.warns(UserWarning, match="after the training ended by an error: No space left"),
        pytest.raises(OSError, match="No space left on device"),
    ):
        tiny_train(encoder, timesteps=256, save_minutes=1e-9, eval_every=10_000)
    assert "an earlier state is saved. Continue with\n" in capsys.readouterr().err
    assert read_agent(last_of("PixelReach-v0", "ppo"))[2]["timesteps"] == 0


@pytest.mark.filterwarnings("ignore:after the training ended by an error")
@pytest.mark.parametrize("algo", ["ppo", "dqn", "qrdqn"])
def test_weights_that_diverge_end_training_by_one_line(algo, encoder, monkeypatch):
    kind = find_algorithm(algo).cls
    update = kind.train

    def diverge(model, *arguments, **options):
        update(model, *arguments, **options)
        next(model.policy.parameters()).data[0] = np.nan

    monkeypatch.setattr(kind, "train", diverge)
    with pytest.raises(FloatingPointError, match="lower learning_rate, or look at the rewards"):
        tiny_train(encoder, algo=algo)
    _, tensors, _ = read_agent(last_of("PixelReach-v0", algo))
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_checkpoint_is_not_replaced_by_one_that_is_not_finite(encoder, tmp_path):
    config = small_config()
    model, venv = trained(config, encoder, 64)
    save_agent(tmp_path, config, model, venv)
    before = (tmp_path / WEIGHTS).read_bytes()
    venv.ret_rms.var = np.array(np.nan)
    with pytest.raises(FloatingPointError, match=r"normalize\.returns\.var holds NaN or infinity"):
        save_agent(tmp_path, config, model, venv)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_agents_that_are_not_finite_are_refused(encoder, tmp_path):
    config = small_config()
    venv = make_venv(config, encoder)
    save_agent(tmp_path, config, build(config, venv), venv)
    _, tensors, notes = read_agent(tmp_path)
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name][0, 0] = -np.inf
    write_tensors(tmp_path / WEIGHTS, tensors, {"agent": notes})
    with pytest.raises(
        ValueError, match=f"holds NaN or infinity in {re.escape(name)}: use another"
    ):
        read_agent(tmp_path)


# The clock


def test_the_last_checkpoint_is_saved_by_the_clock(monkeypatch):
    saved, now = [], [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    callback = SaveByClock(0.5, Path("last"), saved.append)
    callback.model = SimpleNamespace(policy=torch.nn.Linear(1, 1))
    callback._on_training_start()
    for now[0] in (1010.0, 1029.0, 1031.0, 1050.0, 1062.0):
        saved.append(now[0])
        callback._on_rollout_start()
    assert saved == [1010.0, 1029.0, 1031.0, "last", 1050.0, 1062.0, "last"]


def test_a_save_that_takes_long_puts_the_next_one_off(monkeypatch):
    saved, now = [], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def save(name):
        saved.append(name)
        now[0] += 20

    callback = SaveByClock(0.5, Path("last"), save)
    callback.model = SimpleNamespace(policy=torch.nn.Linear(1, 1))
    callback._on_training_start()
    for now[0] in (31.0, 31.0 + 20 + 199, 31.0 + 20 + 201):
        callback._on_rollout_start()
        saved.append(now[0])
    assert saved == ["last", 51.0, 250.0, "last", 272.0]


class Killed(BaseException):
    """Ends a training at once: a killed process saves nothing."""


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_a_job_that_is_killed_again_and_again_advances_and_is_validated(algo, encoder, monkeypatch):
    step, ending = ValidationCallback._on_step, _Run._ending

    def kill_after_40_steps(callback):
        callback.steps = getattr(callback, "steps", 0) + 1
        if callback.steps > 40:
            raise Killed
        return step(callback)

    monkeypatch.setattr(ValidationCallback, "_on_step", kill_after_40_steps)
    monkeypatch.setattr(_Run, "_ending", lambda run: ending(run)[1:])  # without the checkpoint
    flags = {"timesteps": 210, "eval_every": 100, "save_minutes": 0}
    kills, path = 0, last_of("PixelReach-v0", algo).parent
    with pytest.raises(Killed):
        tiny_train(encoder, algo=algo, **flags)
    while kills < 10 and read_agent(path / "last")[2]["timesteps"] < 128:
        with pytest.raises(Killed):
            train(TrainConfig("PixelReach-v0", algo=algo, resume=True))
        kills += 1
    assert 1 <= kills < 10
    assert read_agent(path / "best")[2]["timesteps"] >= 100
