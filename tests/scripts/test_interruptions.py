"""Ctrl-C saves, prints the command that resumes, and that command continues the same run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import agents.pretrain
import latentrl as lrl
from agents.checkpoint import read_agent
from latentrl.training.resume import has_progress
from latentrl.training.trainer import Trainer
from latentrl.viz.tensorboard import TensorBoardCallback
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from tests.helpers import ROOT, read_events
from tests.scripts.running import (
    CUSTOM,
    PRETRAIN,
    REACH,
    printed_command,
    save_random_encoder,
    script,
    small,
    succeed,
    write_npy,
)

# On so few frames the posterior may well collapse.
pytestmark = pytest.mark.filterwarnings("ignore:.*(collapsed|encoder may miss)")


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_pretraining_is_resumed(tmp_path, monkeypatch):
    whole = succeed(tmp_path, "pretrain_vae", *REACH, *PRETRAIN, "--out", "whole")
    with monkeypatch.context() as patched:
        patched.setattr(TensorBoardCallback, "on_epoch_end", interrupt)
        stopped = script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN)
    assert stopped.code == 130
    assert stopped.err.splitlines()[-1].startswith("  python ")
    command = printed_command(stopped.err, "pretrain_vae")
    folder = "runs/vae/PixelReach-v0/beta_vae-1"
    assert command == [*REACH, *PRETRAIN, "--out", folder, "--resume"]
    resumed = succeed(tmp_path, "pretrain_vae", *command)
    paths = ("whole", "runs/vae/PixelReach-v0/beta_vae-1")
    first, second = (lrl.load(tmp_path / path) for path in paths)
    (store,) = (tmp_path / "runs/frames/PixelReach-v0").iterdir()
    frames = lrl.Frames.open(store)[:50]
    assert np.array_equal(first.encode(frames), second.encode(frames))
    assert "beta_vae-1" in resumed.out
    assert "whole" in whole.out


@pytest.mark.slow
@pytest.mark.parametrize("stop", [7, 20, 27], ids=["features", "between", "model"])
def test_either_stage_of_a_model_of_features_is_resumed(stop, tmp_path, monkeypatch):
    model = ["--model", "dae_beta_vae", "--steps", 20, "--batch-size", 8]
    flags = ["--data", write_npy(tmp_path), *model]
    succeed(tmp_path, "pretrain_vae", *flags, "--out", "whole")
    step, taken = Trainer._step, []

    def counted(trainer, indices):
        if len(taken) == stop:
            raise KeyboardInterrupt
        taken.append(len(indices))
        step(trainer, indices)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", counted)
        stopped = script(tmp_path, "pretrain_vae", *flags)
        assert stopped.code == 130
        assert len(taken) == stop
        path = tmp_path / "runs/vae/sprites/dae_beta_vae-1"
        assert has_progress(path)
        assert not has_progress(tmp_path)
        stop = None
        resumed = succeed(tmp_path, "pretrain_vae", *printed_command(stopped.err, "pretrain_vae"))
    assert len(taken) == 2 * 20, "no step is taken twice"
    assert "dae_beta_vae-1" in resumed.out
    names = [file.relative_to(path) for file in path.rglob("model.safetensors")]
    assert len(names) >= 2, "one of them is the model of features"
    for name in names:
        first, second = (load_file(folder / name) for folder in (tmp_path / "whole", path))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_pretraining_is_resumed_where_another_process_collects_too(tmp_path, monkeypatch):
    succeed(tmp_path, "pretrain_vae", *REACH, "--model", "pca", "--latent-dim", 2, "--frames", 20)
    (store,) = (tmp_path / "runs/frames/PixelReach-v0").iterdir()
    description = json.loads((store / "000.json").read_text())
    description |= {"frames": None, "crc32": {}}  # as while a process still collects
    (store / "000.json").write_text(json.dumps(description))
    with monkeypatch.context() as patched:
        patched.setattr(TensorBoardCallback, "on_epoch_end", interrupt)
        stopped = script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN)
    assert stopped.code == 130
    path = tmp_path / "runs/vae/PixelReach-v0/beta_vae-1"
    counts = json.loads((path / "frames.json").read_text())
    assert [*counts] == ["000", "001"]
    for kind in ("observations", "steps"):
        file = store / f"000.{kind}.bin"
        file.write_bytes(2 * file.read_bytes())
    succeed(tmp_path, "pretrain_vae", *printed_command(stopped.err, "pretrain_vae"))
    assert json.loads((path / "frames.json").read_text()) == counts
    assert lrl.load(path)


def test_an_interrupted_collection_is_resumed(tmp_path, monkeypatch):
    succeed(tmp_path, "pretrain_vae", *REACH, "--model", "pca", "--latent-dim", 2, "--frames", 40)
    with monkeypatch.context() as patched:
        patched.setattr(agents.pretrain, "collect", interrupt)
        assert script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN).code == 130
    done = succeed(tmp_path, "pretrain_vae", *REACH, "--resume")
    assert (
        "beta_vae with 6 latents, from 320 images of 32x32x3, in runs/vae/PixelReach-v0/beta_vae-1"
        in done.out
    )


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_training_is_resumed(algo, tmp_path, monkeypatch):
    save_random_encoder(tmp_path)
    steps = GymnasiumVecEnv.step_wait

    def interrupted(venv):
        interrupted.left -= 1
        if interrupted.left == 0:
            raise KeyboardInterrupt
        return steps(venv)

    interrupted.left = 45
    flags = [*REACH, *small(algo), "--timesteps", 192, "--eval-every", 1000, "--eval-episodes", 2]
    with monkeypatch.context() as patched:
        patched.setattr(GymnasiumVecEnv, "step_wait", interrupted)
        stopped = script(tmp_path, "train_agent", *flags)
    assert stopped.code == 130
    path = tmp_path / "runs/agents/PixelReach-v0" / f"{algo}-latent-1"
    assert read_agent(path / "last")[2]["timesteps"] == 88
    done = succeed(tmp_path, "train_agent", *printed_command(stopped.err, "train_agent"))
    expected = {"dqn": 192, "ppo": 88 + 2 * 64}  # PPO finishes its rollout of 64 timesteps
    assert read_agent(path / "last")[2]["timesteps"] == expected[algo]
    assert "env frames), from 88 in " in done.out
    curve = read_events(path).Scalars("rollout/ep_rew_mean_per_env_frame")
    # Files of one second are read in any order.
    curve = sorted(curve, key=lambda point: point.wall_time)
    assert [point.step for point in curve] == sorted({point.step for point in curve})
    assert curve[-1].step >= 190
    assert [folder.name for folder in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_signals_reach_workers_and_save(number, tmp_path):
    (tmp_path / "my_line.py").write_text(CUSTOM)
    save_random_encoder(tmp_path, (16, 16, 3), "my_line:Line")
    train_agent = ROOT / "scripts" / "train_agent.py"
    command = [sys.executable, train_agent, "--env", "my_line:Line", "--n-envs", "2"]
    process = subprocess.Popen(
        [*command, "--timesteps", "1000000", "--eval-every", "500", "--eval-episodes", "2"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    path = tmp_path / "runs" / "agents" / "my_line.Line" / "ppo-latent-1"
    try:
        deadline = time.monotonic() + 60
        while not (path / "best" / "agent.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, err
    assert "--resume" in err
    assert read_agent(path / "last")[2]["timesteps"] >= 500
