"""The frames of ``pretrain_vae`` on disk: their size, their reuse, and a signal while it trains."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

import latentrl as lrl
from latentrl.training.resume import RESUME_FILE
from tests.helpers import ROOT
from tests.scripts.running import CUSTOM, script, succeed, write_npy

pytestmark = pytest.mark.filterwarnings("ignore:the encoder may miss")

LINE = ["--env", "my_line:Line", "--size", 8, "--model", "pca", "--latent-dim", 2, "--frames", 60]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_line.py").write_text(CUSTOM)
    return tmp_path


def stores(folder):
    return sorted((folder / "runs/frames/my_line.Line").iterdir())


def test_frames_are_stored_at_the_size_of_the_network(folder):
    small = succeed(folder, "pretrain_vae", *LINE)
    assert "up to 120 frames of 8x8x3 take 0.03 MB in runs/frames/my_line.Line/format" in small.err
    assert "from 120 images of 16x16x3" in small.out  # few of them are distinct
    large = succeed(folder, "pretrain_vae", *LINE, "--store-original")
    assert "up to 120 frames of 16x16x3 take 0.10 MB" in large.err
    assert [lrl.Frames.open(path).space.shape for path in stores(folder)] == [
        (16, 16, 3),
        (8, 8, 3),
    ]
    paths = [folder / f"runs/vae/my_line.Line/pca-{i}/model.safetensors" for i in (1, 2)]
    first, second = map(load_file, paths)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_frames_that_are_reused_are_counted(folder):
    succeed(folder, "pretrain_vae", *LINE)
    again = succeed(folder, "pretrain_vae", *LINE)
    assert (
        f"{stores(folder)[0].relative_to(folder)}: reuses 120 frames, and collects none"
        in again.err
    )
    assert " take " not in again.err
    other = succeed(folder, "pretrain_vae", *LINE, "--seed", 1)
    assert "reuses" not in other.err
    assert len(stores(folder)) == 2


def test_a_time_limit_cuts_episodes_and_has_a_store_of_its_own(folder):
    succeed(folder, "pretrain_vae", *LINE)
    limited = succeed(folder, "pretrain_vae", *LINE, "--max-episode-steps", 2)
    assert "reuses" not in limited.err
    assert "--max-episode-steps 2" in limited.out.splitlines()[-1]
    own, cut = (lrl.Frames.open(path) for path in stores(folder))
    assert own.times.max() > cut.times.max() == 2
    assert cut.metadata["environment"]["max_episode_steps"] == 2


def test_a_time_limit_is_at_least_one_timestep(folder):
    done = script(folder, "pretrain_vae", *LINE, "--max-episode-steps", 0)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: max_episode_steps must be at least 1")


def test_frames_of_another_policy_are_refused(folder):
    succeed(folder, "pretrain_vae", *LINE)
    (store,) = stores(folder)
    shutil.rmtree(store)
    sys.path.insert(0, str(folder))
    try:
        preprocessing = lrl.Preprocessing(size=(8, 8))
        agents_pretrain = __import__("agents.pretrain").pretrain
        config = agents_pretrain.PretrainConfig("my_line:Line", size=8)
        envs = agents_pretrain.make_vector(agents_pretrain.describe(config), 2)
        lrl.collect(envs, 20, store, policy="random", preprocessing=preprocessing, progress=False)
        envs.close()
    finally:
        sys.path.remove(str(folder))
    done = script(folder, "pretrain_vae", *LINE)
    assert done.code == 2
    assert "has policy=random, the call has policy=brownian: " in done.err.splitlines()[-1]
    assert not (folder / "runs/vae/my_line.Line/pca-2").exists()


def test_a_disk_without_room_is_refused(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4_000))
    done = script(folder, "pretrain_vae", *LINE)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: 120 frames of 8x8x3 take 0.03 MB, and ")
    assert done.err.endswith(
        " has 0.00 MB free: use fewer --frames, a smaller --size, or another disk\n"
    )
    assert not (folder / "runs/frames").exists()


@pytest.mark.slow
def test_a_scheduler_can_stop_and_continue_it(tmp_path):
    command = [sys.executable, ROOT / "scripts" / "pretrain_vae.py", "--data", write_npy(tmp_path)]
    process = subprocess.Popen(
        [*command, "--steps", "100000", "--batch-size", "4", "--option", "backbone=linear"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    path = tmp_path / "runs/vae/sprites/beta_vae-1"
    try:
        deadline = time.monotonic() + 120
        while not (path / RESUME_FILE).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        before = (path / RESUME_FILE).stat().st_mtime_ns
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, err
    assert "what was done is saved. Continue with" in err
    assert "--out runs/vae/sprites/beta_vae-1 --resume" in err
    assert (path / RESUME_FILE).stat().st_mtime_ns > before
