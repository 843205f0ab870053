from __future__ import annotations

import gzip
import io
import json
import os
import runpy
import shlex
import signal
import struct
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import agents.pretrain
import agents.train
import latentrl as lrl
from agents.algorithms.base import DEFAULTS, DQN_LATENT, DQN_PIXELS, PPO_LATENT, PPO_PIXELS
from agents.checkpoint import read_agent
from latentrl.models import MODELS
from latentrl.training.resume import has_progress
from latentrl.training.trainer import Trainer
from latentrl.viz.tensorboard import TensorBoardCallback
from latentrl.wrappers.sb3 import GymnasiumVecEnv
from scripts.studies import STUDIES
from scripts.studies.core import Study, Table
from tests.helpers import ROOT, read_events

SMALL_PPO = {
    "n_envs": 2,
    "n_steps": 32,
    "batch_size": 32,
    "n_epochs": 1,
    "policy_kwargs": {"net_arch": [16]},
}
SMALL_DQN = {
    "n_envs": 2,
    "buffer_size": 200,
    "learning_starts": 20,
    "batch_size": 8,
    "gradient_steps": 1,
    "policy_kwargs": {"net_arch": [16]},
}
SMALL = {
    ("ppo", True): {**PPO_LATENT, **SMALL_PPO},
    ("ppo", False): {**PPO_PIXELS, **SMALL_PPO},
    ("dqn", True): {**DQN_LATENT, **SMALL_DQN},
    ("dqn", False): {**DQN_PIXELS, **SMALL_DQN},
}
REACH = ["--env", "PixelReach-v0"]
PRETRAIN = ["--frames", "160", "--epochs", "2", "--batch-size", "32", "--latent-dim", "6"]
TRAIN = ["--timesteps", "128", "--eval-every", "64", "--eval-episodes", "2"]

# A model that saw so few frames may well not use its code.
pytestmark = pytest.mark.filterwarnings("ignore:the latents have collapsed")


@dataclass
class Done:
    code: object
    out: str
    err: str


def script(folder, name, *arguments):
    """Run a script in this process as ``python scripts/NAME.py ARGUMENTS`` would in ``folder``."""
    before = sys.argv, list(sys.path), os.getcwd()
    out, err = io.StringIO(), io.StringIO()
    file = str(ROOT / "scripts" / f"{name}.py")
    sys.argv = [file, *map(str, arguments)]
    os.chdir(folder)
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv, sys.path[:] = before[:2]
        os.chdir(before[2])
    return Done(code, out.getvalue(), err.getvalue())


def succeed(folder, name, *arguments):
    done = script(folder, name, *arguments)
    assert done.code == 0, done.err
    return done


@pytest.fixture(autouse=True)
def small_settings(monkeypatch):
    for key, settings in SMALL.items():
        monkeypatch.setitem(DEFAULTS, key, settings)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder in which an encoder was pretrained, and what the script said."""
    folder = tmp_path_factory.mktemp("workspace")
    return folder, succeed(folder, "pretrain_vae", *REACH, *PRETRAIN)


def pretend_encoder(folder, space=(32, 32, 3), env="PixelReach-v0"):
    lrl.save(
        lrl.random(space, latent_dim=4),
        folder / "runs" / "vae" / env.replace(":", ".") / "random-1",
    )


def printed_command(text, name):
    """Return the arguments of the command that the output tells the user to run next."""
    line = next(line for line in text.splitlines() if f"scripts/{name}.py" in line)
    return shlex.split(line.split(f"{name}.py")[1])


# The main job: every command but the first is the one that the step before prints.


def test_pretraining(workspace):
    folder, done = workspace
    path = folder / "runs" / "vae" / "PixelReach-v0" / "beta_vae-1"
    assert (
        "beta_vae with 6 latents, from 160 images of 32x32x3, in runs/vae/PixelReach-v0/beta_vae-1"
        in done.out
    )
    assert "nats per frame" in done.out
    assert printed_command(done.out, "train_agent") == ["--latent", *REACH]
    for name in (
        "model.safetensors",
        "config.json",
        "reconstructions.png",
        "traversals.png",
        "traversals.gif",
    ):
        assert (path / name).stat().st_size > 100
    model = lrl.load(path)
    assert model.metadata["data"]["environment"]["id"] == "PixelReach-v0"
    assert len(lrl.Frames.open(folder / "runs" / "frames" / "PixelReach-v0" / "skip1-seed0")) == 160
    events = read_events(path)
    scalars, images = events.Tags()["scalars"], events.Tags()["images"]
    assert {"validation/kl", "validation/active_units", "validation/psnr", "train/loss"} <= set(
        scalars
    )
    assert {f"kl_per_dimension/{i:02d}" for i in range(6)} <= set(scalars)
    assert {"reconstructions", "traversals", "traversals_moving"} <= set(images)
    assert len(events.Scalars("validation/loss")) == 2
    total = sum(events.Scalars(f"kl_per_dimension/{i:02d}")[-1].value for i in range(6))
    assert events.Scalars("validation/kl")[-1].value == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_training_in_codes_then_evaluation(workspace, algo):
    folder, pretrained = workspace
    command = printed_command(pretrained.out, "train_agent")
    done = succeed(folder, "train_agent", *command, "--algo", algo, *TRAIN)
    path = folder / "runs" / "agents" / "PixelReach-v0" / f"{algo}-latent-1"
    assert (
        f"128 decisions, 128 environment frames, in runs/agents/PixelReach-v0/{algo}-latent-1"
        in done.out
    )
    config, _, notes = read_agent(path / "last")
    assert (config.algo, config.latent, notes["decisions"]) == (algo, True, 128)
    pretrained_model = lrl.load(folder / "runs" / "vae" / "PixelReach-v0" / "beta_vae-1")
    assert (
        lrl.load(path / "encoder").metadata["fingerprint"]
        == pretrained_model.metadata["fingerprint"]
    )

    events = read_events(path)
    scalars = events.Tags()["scalars"]
    assert {"rollout/ep_rew_mean", "rollout/ep_rew_mean_per_env_frame"} <= set(scalars)
    assert {"eval/mean_return", "eval/std_return"} <= set(scalars)
    assert [point.step for point in events.Scalars("eval/mean_return")] == [64, 128]
    assert -1.001 <= events.Scalars("rollout/ep_rew_mean")[-1].value <= 1  # the task's own rewards
    assert "agent/reconstructions" in events.Tags()["images"]

    command = printed_command(done.out, "evaluate_agent")
    assert command == [
        "--agent",
        str(path.relative_to(folder)),
        "--episodes",
        "100",
        "--backend",
        "gymnasium",
    ]
    command[command.index("100")] = "4"
    evaluated = succeed(folder, "evaluate_agent", *command, "--video", "drive.gif")
    report = json.loads((path / "evaluation-gymnasium-4.json").read_text())
    assert len(report["returns"]) == len(report["lengths"]) == 4
    assert (
        f"return of the task itself: {report['mean']:.4g} +- {report['std']:.4g} over 4 episodes"
        in evaluated.out
    )
    assert (folder / "drive.gif").stat().st_size > 100


@pytest.mark.parametrize(
    ("flags", "novelty"),
    [(["--novelty", "--algo", "dqn"], "reconstruction"), (["--novelty=rnd"], "rnd"), ([], None)],
)
def test_a_bonus_without_a_name_is_the_reconstruction(workspace, flags, novelty):
    folder, _ = workspace
    succeed(
        folder,
        "train_agent",
        *REACH,
        *TRAIN,
        "--timesteps",
        64,
        "--out",
        folder / f"bare-{novelty}",
        *flags,
    )
    assert (
        json.loads((folder / f"bare-{novelty}" / "training.json").read_text())["novelty"] == novelty
    )


def test_the_demo_needs_no_flags(tmp_path, monkeypatch):
    def stop(config):
        raise ValueError(f"this would play {config.env}")

    monkeypatch.setattr("agents.demo.demo", stop)
    done = script(tmp_path, "demo")
    assert (done.code, done.err) == (2, "error: this would play CarRacing-v2\n")


def test_nothing_in_a_run_is_a_pickle(workspace):
    folder, _ = workspace
    succeed(folder, "train_agent", *REACH, "--algo", "dqn", *TRAIN)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert sum(file.name == "replay.safetensors" for file in files) >= 1
    known = {
        ".safetensors",
        ".json",
        ".png",
        ".gif",
        ".mp4",
        ".u8",
        ".bin",
        ".npy",
        ".jsonl",
        ".csv",
    }
    for file in files:
        assert file.suffix in known or file.name.startswith("events.out.tfevents"), file
        head = file.read_bytes()[:4]
        assert not head.startswith((b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), (
            file
        )


# What the flags do


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_can_be_pretrained_and_learned_from(name, tmp_path):
    short = ["--frames", "80", "--steps", "3", "--batch-size", "16", "--latent-dim", "4"]
    done = succeed(tmp_path, "pretrain_vae", *REACH, "--model", name, *short)
    assert f"{name} with 4 latents" in done.out
    succeed(tmp_path, "train_agent", *REACH, "--timesteps", 64, "--eval-episodes", 1)


def test_unknown_model_and_algorithm(tmp_path):
    done = script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN, "--model", "beta")
    assert done.code == 2
    assert done.err == f"error: unknown model 'beta'; known: {', '.join(MODELS)}\n"
    assert script(tmp_path, "train_agent", "--algo", "sac").code == 2


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write_npy(folder):
    np.save(folder / "sprites.npy", noise(60, 24, 24, 3))
    return "sprites.npy"


def write_npz(folder):
    np.savez(folder / "sprites.v2.npz", observations=noise(60, 16, 16), labels=np.arange(60) % 3)
    return "sprites.v2.npz"


def write_idx(folder):
    header = struct.pack(">HBB3I", 0, 8, 3, 60, 12, 10)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(header + noise(60, 12, 10).tobytes())
    )
    return "train-images-idx3-ubyte.gz"


def write_folder(folder):
    for i in range(20):
        path = folder / "photos" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noise(16 + i, 30 - i, 3)).save(path)
    return "photos"


def write_vectors(folder):
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(60, 9)))
    return "vectors.npy"


def write_sequences(folder):
    np.save(
        folder / "waves.npy", np.random.default_rng(0).normal(size=(60, 6, 2)).astype(np.float32)
    )
    return "waves.npy"


# What each is called, its shape, the size of the code, at most half that of an observation, and how
# it is reported.
DATA = [
    (write_npy, "sprites", (24, 24, 3), 32, "60 images of 24x24x3"),
    (write_npz, "sprites.v2", (16, 16), 32, "60 images of 16x16"),
    (write_idx, "train-images-idx3-ubyte", (12, 10), 32, "60 images of 12x10"),
    (write_folder, "photos", (26, 20, 3), 32, "20 images of 26x20x3"),
    (write_vectors, "vectors", (9,), 4, "60 vectors of 9 values"),
    (write_sequences, "waves", (6, 2), 6, "60 sequences of 6 steps x 2 values"),
]


@pytest.mark.parametrize(
    ("write", "name", "shape", "latents", "read_as"), DATA, ids=[case[1] for case in DATA]
)
def test_data_of_any_kind(write, name, shape, latents, read_as, tmp_path):
    data = write(tmp_path)
    done = succeed(
        tmp_path, "pretrain_vae", "--data", data, "--model", "ae", "--steps", 3, "--batch-size", 8
    )
    assert f"ae with {latents} latents, from {read_as}, in " in done.out
    assert "read as sequences" not in done.out
    assert f"in runs/vae/{name}/ae-1\n" in done.out
    assert "PSNR" in done.out or len(shape) < 3
    assert "KL" not in done.out
    assert "train_agent" not in done.out
    model = lrl.load(tmp_path / "runs" / "vae" / name / "ae-1")
    assert model.observation_space.shape == shape
    assert not (tmp_path / "runs" / "frames").exists()
    command = printed_command(done.out, "autoencode")
    assert command == ["reconstruct", "--model", f"runs/vae/{name}/ae-1", "--data", data]
    used = succeed(tmp_path, "autoencode", *command)
    assert f"runs/vae/{name}/ae-1/reconstruct/reconstructions.npy" in used.out


SHORT = ["--model", "ae", "--steps", 3, "--batch-size", 8]
GREY = [
    ((9, 8), 1, True),
    ((9, 8), 1.5, False),
    ((9, 8), -1, False),
    ((9, 7), 1, False),
    ((72,), 1, False),
]


@pytest.mark.parametrize(("shape", "scale", "hinted"), GREY)
def test_grey_images_without_their_channel_are_pointed_out(shape, scale, hinted, tmp_path):
    images = np.random.default_rng(0).random((60, *shape))
    images[0].flat[:2] = 0, 1
    np.save(tmp_path / "grey.npy", images * scale)
    done = succeed(tmp_path, "pretrain_vae", "--data", "grey.npy", *SHORT)
    hint = "\nread as sequences; for grey images add a channel axis, array[..., None]\n"
    assert (hint in done.out) == hinted
    if hinted:
        assert "from 60 sequences of 9 steps x 8 values, in" in done.out
        np.save(tmp_path / "grey.npy", images[..., None])
        done = succeed(tmp_path, "pretrain_vae", "--data", "grey.npy", *SHORT)
        assert "from 60 images of 9x8x1, in" in done.out
        assert "read as sequences" not in done.out


def test_data_that_is_not_there(tmp_path):
    done = script(tmp_path, "pretrain_vae", "--data", "nothing.npy")
    assert done.code == 2
    assert done.err.startswith("error: nothing at nothing.npy")


def test_little_data_is_gone_over_often(tmp_path):
    np.save(tmp_path / "few.npy", np.random.default_rng(0).normal(size=(40, 2)))
    succeed(tmp_path, "pretrain_vae", "--data", "few.npy", "--model", "pca")
    saved = json.loads((tmp_path / "runs/vae/few/pca-1/pretraining.json").read_text())
    assert (saved["epochs"], saved["latent_dim"]) == (1500, 1)
    succeed(
        tmp_path,
        "pretrain_vae",
        "--data",
        "few.npy",
        "--model",
        "pca",
        "--batch-size",
        9,
        "--latent-dim",
        2,
    )
    saved = json.loads((tmp_path / "runs/vae/few/pca-2/pretraining.json").read_text())
    assert (saved["epochs"], saved["latent_dim"]) == (375, 2)


IMAGES = ["--data", "images.npy"]
WRONG = [
    (IMAGES, noise(20, 2, 8, 8, 3), "images.npy holds uint8 of shape (20, 2, 8, 8, 3)"),
    (
        IMAGES,
        np.zeros((20, 5, 5), np.uint8),
        "images go through the network at 8 to 256 pixels a side, not 5x5",
    ),
    (IMAGES, noise(20, 16, 16, 13), "images have 1 to 12 channels, got shape (16, 16, 13)"),
    (IMAGES, noise(20, 3, 16, 16), "images of shape (3, 16, 16) look channels-first"),
    (IMAGES, noise(20, 64), "images.npy holds uint8 of shape (20, 64)"),
    (IMAGES, noise(20, 8, 8).astype(np.int64), "images in 0..255: array.astype(np.uint8)"),
    (IMAGES, noise(20, 8, 8, 3) / 2.0, "float images must lie in [0, 1]"),
    (IMAGES, np.full((20, 9), np.nan), "frames contain NaN or infinity, first in observation 0"),
    (
        IMAGES,
        np.full((20, 8, 8, 1), np.nan),
        "frames contain NaN or infinity, first in observation 0",
    ),
    (IMAGES, np.zeros((0, 8, 8), np.uint8), "images.npy of shape (0, 8, 8) is empty"),
    (IMAGES, noise(1, 8, 8), "training and validation need at least 2 frames, got 1"),
    (
        IMAGES,
        np.full((20, 8, 8), 7, np.uint8),
        "all 20 observations are identical: there is nothing to learn",
    ),
    (IMAGES, np.array(["a", "b"]), "images.npy"),
    (
        [*IMAGES, "--latent-dim", 65],
        noise(20, 8, 8),
        "latent_dim=65 is larger than the observation, which has",
    ),
    (
        [*IMAGES, "--latent-dim", 0],
        noise(20, 8, 8),
        "latent_dim is a number of values, at least 1; got 0",
    ),
    ([*IMAGES, "--model", "vea"], noise(20, 8, 8), "unknown model 'vea'; known: ae, beta_tcvae"),
    (
        [*IMAGES, "--likelihood", "cauchy"],
        noise(20, 8, 8),
        "unknown likelihood 'cauchy'; known: bernoulli, diagonal",
    ),
    (
        [*IMAGES, "--model", "pca", "--likelihood", "bernoulli"],
        noise(20, 8, 8),
        "model 'pca' has no 'likelihood'",
    ),
    (
        [*IMAGES, "--likelihood", "bernoulli"],
        np.eye(20),
        "likelihood 'bernoulli' needs values in [0, 1]",
    ),
    (
        [*IMAGES, "--option", "sparsity=1"],
        noise(20, 8, 8),
        "model 'beta_vae' has no 'sparsity'; it takes: latent_dim",
    ),
    (
        [*IMAGES, "--option", "beta=high"],
        noise(20, 8, 8),
        "option 'beta' of 'beta_vae' takes a number, got 'high'",
    ),
    ([*IMAGES, "--option", "beta"], noise(20, 8, 8), "expected --option NAME=VALUE, got 'beta'"),
    ([*IMAGES, "--option", "beta=[1"], noise(20, 8, 8), "'[1' is no YAML"),
    (
        [*IMAGES, "--option", "latent_dim=3"],
        noise(20, 8, 8),
        "latent_dim has a flag of its own: --latent-dim",
    ),
    (
        [*IMAGES, "--option", "beta=1", "--option", "beta=2"],
        noise(20, 8, 8),
        "option 'beta' is given twice",
    ),
    (
        [*IMAGES, "--option", "beta=1", "--beta", 2],
        noise(20, 8, 8),
        "beta is given twice: by --option and by its own",
    ),
    (
        [*IMAGES, "--option", "backbone={name: cnn}"],
        noise(20, 8, 8),
        "unknown backbone 'cnn'; known: conv",
    ),
    (
        [*IMAGES, "--option", "backbone={name: mlp, hidden: [a]}"],
        noise(20, 8, 8),
        "beta_vae cannot be built with backbone=",
    ),
    (
        [*IMAGES, "--model", "sparse_ae", "--option", "prior=l3"],
        noise(20, 8, 8),
        "takes one of l1, l2, kl, got 'l3'",
    ),
    (
        [*IMAGES, "--model", "denoising_ae", "--option", "sigma=1"],
        noise(20, 8, 8),
        "'gaussian_noise' has no 'sigma'",
    ),
    (
        [*IMAGES, "--model", "dae_beta_vae", "--option", "features=x"],
        noise(20, 8, 8),
        "takes an object of class Auto",
    ),
    (
        [*IMAGES, "--size", 16],
        np.eye(20),
        "size and crop are for images; the observations of images have shape (20,)",
    ),
    ([*IMAGES, "--epochs", 0], noise(20, 8, 8), "epochs must be at least 1, got 0"),
    ([*IMAGES, "--batch-size", 0], noise(20, 8, 8), "batch_size must be at least 1, got 0"),
]


@pytest.mark.parametrize(
    ("flags", "array", "message"), WRONG, ids=[f"{message[:40]}" for *_, message in WRONG]
)
def test_mistakes_get_one_clear_line_before_training(flags, array, message, tmp_path):
    np.save(tmp_path / "images.npy", array)
    done = script(tmp_path, "pretrain_vae", *flags)
    assert done.code == 2
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_folder_without_images_and_a_damaged_one(tmp_path):
    (tmp_path / "empty").mkdir()
    assert (
        "holds neither a frame store nor images"
        in script(tmp_path, "pretrain_vae", "--data", "empty").err
    )
    (tmp_path / "empty" / "broken.png").write_bytes(b"no picture")
    assert (
        "broken.png cannot be read as an image"
        in script(tmp_path, "pretrain_vae", "--data", "empty").err
    )
    assert not (tmp_path / "runs").exists()


def test_options_reach_the_model(tmp_path):
    data = [
        "--data",
        write_npy(tmp_path),
        "--steps",
        2,
        "--batch-size",
        8,
        "--likelihood",
        "bernoulli",
    ]
    flags = ["--model", "sparse_ae", "--option", "weight=5e-1", "--option", "prior=kl"]
    succeed(
        tmp_path, "pretrain_vae", *data, *flags, "--option", "backbone={name: mlp, hidden: [8]}"
    )
    config = lrl.load(tmp_path / "runs/vae/sprites/sparse_ae-1").config
    assert config.likelihood["name"] == "bernoulli"
    assert config.losses[0] == {"name": "sparsity", "prior": "kl", "weight": 0.5, "target": 0.05}
    assert config.backbone == {"name": "mlp", "hidden": [8]}
    assert config.latent_dim == 64


def test_options_in_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        f"data: {write_npy(tmp_path)}\nmodel: denoising_ae\nsteps: 2\n"
        "option: {corruption: masking, fraction: 0.4, backbone: {name: mlp, hidden: [8]}}\n"
    )
    done = succeed(tmp_path, "pretrain_vae", "--config", "mine.yaml")
    path = tmp_path / "runs/vae/sprites/denoising_ae-1"
    assert lrl.load(path).config.corruptions == [{"name": "masking", "fraction": 0.4}]
    assert (
        "autoencode.py denoise --model runs/vae/sprites/denoising_ae-1 --data sprites.npy --corrupt auto"
        in done.out
    )
    # The file is needed no more, and the flags are remembered.
    again = succeed(
        tmp_path, "pretrain_vae", "--data", "sprites.npy", "--model", "denoising_ae", "--resume"
    )
    assert "denoising_ae-1" in again.out


def test_help_lists_the_models(tmp_path):
    said = " ".join(script(tmp_path, "pretrain_vae", "--help").out.replace("│", " ").split())
    assert f"One of: {', '.join(MODELS)}." in said
    assert "NAME=VALUE" in said


def test_yaml_below_the_flags(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "env: PixelReach-v0\nmodel: pca\nframes: 90\nlatent_dim: 5\ncrop: [0, 4, 2, 2]\nresume: false\n"
    )
    done = succeed(tmp_path, "pretrain_vae", "--config", "mine.yaml", "--latent-dim", 3)
    assert "pca with 3 latents, from 90 images of 32x32x3" in done.out
    saved = json.loads((tmp_path / "runs/vae/PixelReach-v0/pca-1/pretraining.json").read_text())
    assert (saved["frames"], saved["latent_dim"], saved["crop"]) == (90, 3, [0, 4, 2, 2])


def test_yaml_that_cannot_be_read(tmp_path):
    done = script(tmp_path, "pretrain_vae", "--config", "none.yaml")
    assert done.code == "error: no config file at none.yaml"
    (tmp_path / "list.yaml").write_text("- env\n- model\n")
    done = script(tmp_path, "pretrain_vae", "--config", "list.yaml")
    assert done.code == "error: list.yaml must hold flags as 'name: value' lines"


def test_no_encoder_prints_the_command_that_makes_one(tmp_path):
    done = script(tmp_path, "train_agent", "--latent", *REACH)
    assert done.code == 2
    assert done.err == (
        "error: no pretrained encoder for PixelReach-v0 in runs/vae/PixelReach-v0; make one with\n"
        "  python scripts/pretrain_vae.py --env PixelReach-v0\n"
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
    done = succeed(tmp_path, "train_agent", "--no-latent", *REACH, "--algo", algo, *TRAIN)
    path = tmp_path / "runs/agents/PixelReach-v0" / f"{algo}-pixels-1"
    assert not (path / "encoder").exists()
    assert not read_agent(path / "best")[0].latent
    succeed(
        tmp_path,
        "evaluate_agent",
        *printed_command(done.out, "evaluate_agent")[:2],
        "--episodes",
        2,
    )


def test_learning_from_rendered_images(tmp_path):
    pole = ["--env", "CartPole-v1"]
    succeed(
        tmp_path,
        "pretrain_vae",
        *pole,
        "--from-render",
        "--size",
        32,
        "--model",
        "pca",
        "--frames",
        64,
    )
    assert lrl.load(tmp_path / "runs/vae/CartPole-v1/pca-1").observation_space.shape == (32, 32, 3)
    succeed(tmp_path, "train_agent", *pole, *TRAIN)
    config = read_agent(tmp_path / "runs/agents/CartPole-v1/ppo-latent-1/last")[0]
    assert config.environment.render_size == 32


def test_vectors_are_encoded_as_they_are(tmp_path):
    pole = ["--env", "CartPole-v1"]
    short = ["--latent-dim", 2, "--steps", 3, "--frames", 64]
    succeed(tmp_path, "pretrain_vae", *pole, *short)
    assert not list(tmp_path.rglob("*.png"))
    done = script(tmp_path, "pretrain_vae", *pole, *short, "--size", 32)
    assert done.code == 2
    assert (
        "size and crop are for images; the observations of CartPole-v1 have shape (4,)" in done.err
    )


CUSTOM = """
import gymnasium as gym
import numpy as np


class Line(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (16, 16, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.time = 8, 0
        return self._see(), {}

    def step(self, action):
        self.place, self.time = int(np.clip(self.place + 2 * action - 1, 0, 15)), self.time + 1
        return self._see(), float(self.place == 15), False, self.time == 10, {}

    def _see(self):
        image = np.zeros((16, 16, 3), np.uint8)
        image[:, self.place] = 255
        return image
"""


def test_custom_environment(tmp_path):
    (tmp_path / "my_line.py").write_text(CUSTOM)
    mine = ["--env", "my_line:Line"]
    succeed(
        tmp_path,
        "pretrain_vae",
        *mine,
        "--model",
        "pca",
        "--latent-dim",
        4,
        "--frames",
        64,
        "--size",
        16,
    )
    done = succeed(tmp_path, "train_agent", *mine, *TRAIN)
    path = tmp_path / "runs" / "agents" / "my_line.Line" / "ppo-latent-1"
    assert (path / "best" / "agent.safetensors").exists()
    succeed(
        tmp_path,
        "evaluate_agent",
        *printed_command(done.out, "evaluate_agent")[:2],
        "--episodes",
        2,
    )
    done = script(tmp_path, "train_agent", "--env", "no_such_file:Line", "--no-latent")
    assert done.code == 2
    assert "error: cannot import 'no_such_file' for no_such_file:Line" in done.err


# Studies


def pretend_studies(folder):
    for name in STUDIES:
        rows = [["", "decay", f"figure of {name}"]]
        table = {"caption": f"Table of {name}", "columns": ["", "test", "recipe"], "rows": rows}
        file = folder / "runs" / "benchmarks" / "autoencoders" / name / "study.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"rows": [], "tables": [table], "captions": []}))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["novelty"], {"novelty"}),
        (["novelty", "--noise"], {"novelty", "novelty_noise"}),
        (["probe"], {"probe"}),
        (["autoencoders"], {*STUDIES} - {"novelty", "novelty_noise", "probe"}),
        (["autoencoders", "--study", "anomaly"], {"anomaly"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_stored_studies_are_printed(arguments, expected, tmp_path):
    pretend_studies(tmp_path)
    lines = {line.strip() for line in succeed(tmp_path, "benchmark", *arguments).out.splitlines()}
    assert {name for name in STUDIES if f"Table of {name}" in lines} == expected
    assert {name for name in STUDIES if f"decay  figure of {name}" in lines} == expected


def test_fresh_makes_a_stored_study_anew(tmp_path, monkeypatch):
    pretend_studies(tmp_path)
    monkeypatch.setitem(
        STUDIES._parts, "novelty", lambda: Study([], [Table("A new table", ["a"], [["1"]])])
    )
    for flags in (["--fresh"], []):
        said = succeed(tmp_path, "benchmark", "novelty", *flags).out
        assert "A new table" in said
        assert "Table of novelty" not in said


# Interruptions


def test_pretraining_goes_on_after_an_interruption(tmp_path, monkeypatch):
    whole = succeed(tmp_path, "pretrain_vae", *REACH, *PRETRAIN, "--out", "whole")

    def interrupt(board, *_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TensorBoardCallback, "on_epoch_end", interrupt)
        stopped = script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN)
    assert stopped.code == 130
    assert "stopped; what was done is saved. Continue with\n  python " in stopped.err
    command = printed_command(stopped.err, "pretrain_vae")
    assert command == [*REACH, *PRETRAIN, "--resume"]
    resumed = succeed(tmp_path, "pretrain_vae", *command)
    first, second = (
        lrl.load(tmp_path / path) for path in ("whole", "runs/vae/PixelReach-v0/beta_vae-1")
    )
    frames = lrl.Frames.open(tmp_path / "runs/frames/PixelReach-v0/skip1-seed0")[:50]
    assert np.array_equal(first.encode(frames), second.encode(frames))
    assert "beta_vae-1" in resumed.out
    assert "whole" in whole.out


@pytest.mark.parametrize("stop", [7, 20, 27], ids=["features", "between", "model"])
def test_either_stage_of_a_model_of_features_goes_on(stop, tmp_path, monkeypatch):
    flags = [
        "--data",
        write_npy(tmp_path),
        "--model",
        "dae_beta_vae",
        "--steps",
        20,
        "--batch-size",
        8,
    ]
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
    for name in ("model.safetensors", "prerequisite/model.safetensors"):
        first, second = (load_file(folder / name) for folder in (tmp_path / "whole", path))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_pretraining_goes_on_after_an_interruption_of_the_collection(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    succeed(tmp_path, "pretrain_vae", *REACH, "--model", "pca", "--latent-dim", 2, "--frames", 40)
    with monkeypatch.context() as patched:
        patched.setattr(agents.pretrain, "collect", interrupt)
        assert script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN).code == 130
    done = succeed(tmp_path, "pretrain_vae", *REACH, "--resume")
    assert (
        "beta_vae with 6 latents, from 160 images of 32x32x3, in runs/vae/PixelReach-v0/beta_vae-1"
        in done.out
    )


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_training_goes_on_after_an_interruption(algo, tmp_path, monkeypatch):
    pretend_encoder(tmp_path)
    steps = GymnasiumVecEnv.step_wait

    def interrupt(venv):
        interrupt.left -= 1
        if interrupt.left == 0:
            raise KeyboardInterrupt
        return steps(venv)

    interrupt.left = 45
    flags = [*REACH, "--algo", algo, "--timesteps", 192, "--eval-every", 1000, "--eval-episodes", 2]
    with monkeypatch.context() as patched:
        patched.setattr(GymnasiumVecEnv, "step_wait", interrupt)
        stopped = script(tmp_path, "train_agent", *flags)
    assert stopped.code == 130
    path = tmp_path / "runs/agents/PixelReach-v0" / f"{algo}-latent-1"
    assert read_agent(path / "last")[2]["decisions"] == 88
    done = succeed(tmp_path, "train_agent", *printed_command(stopped.err, "train_agent"))
    assert read_agent(path / "last")[2]["decisions"] == {"dqn": 192, "ppo": 88 + 2 * 64}[algo]
    assert "environment frames, in runs/agents/PixelReach-v0" in done.out
    curve = read_events(path).Scalars("rollout/ep_rew_mean_per_env_frame")
    curve = sorted(
        curve, key=lambda point: point.wall_time
    )  # files of one second are read in any order
    assert [point.step for point in curve] == sorted({point.step for point in curve})
    assert curve[-1].step >= 190
    assert [folder.name for folder in path.parent.iterdir()] == [path.name]


def test_ctrl_c_reaches_workers_and_saves(tmp_path):
    (tmp_path / "my_line.py").write_text(CUSTOM)
    pretend_encoder(tmp_path, (16, 16, 3), "my_line:Line")
    command = [
        sys.executable,
        ROOT / "scripts" / "train_agent.py",
        "--env",
        "my_line:Line",
        "--n-envs",
        "2",
    ]
    process = subprocess.Popen(
        [*command, "--timesteps", "1000000", "--eval-every", "500", "--eval-episodes", "2"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    path = tmp_path / "runs" / "agents" / "my_line.Line" / "ppo-latent-1"
    try:
        deadline = time.monotonic() + 60
        while not (path / "best" / "agent.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, err
    assert "--resume" in err
    assert read_agent(path / "last")[2]["decisions"] >= 500
