"""What the flags of ``pretrain_vae`` do, for environments and for data of any kind."""

from __future__ import annotations

import gzip
import json
import struct

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

import latentrl as lrl
from agents.pretrain import PretrainConfig, can_train_agent
from envs.pixel_reach import PixelReach
from latentrl.models import MODELS
from tests.scripts.running import (
    REACH,
    noise,
    printed_command,
    script,
    small,
    succeed,
    write_npy,
)

# On so few frames the posterior may well collapse.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(collapsed|encoder may miss|farther from the clean)"
)


QUICK = ("beta_vae", "dae_beta_vae", "pca", "qlae")
"""Models of each kind; the contract of models has all of them."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MODELS]
)
def test_every_model_can_be_pretrained_and_learned_from(name, tmp_path):
    short = ["--frames", "80", "--steps", "3", "--batch-size", "16", "--latent-dim", "4"]
    done = succeed(tmp_path, "pretrain_vae", *REACH, "--model", name, *short)
    assert f"{name} with 4 latents" in done.out
    succeed(tmp_path, "train_agent", *REACH, *small(), "--timesteps", 64, "--eval-episodes", 1)


def test_an_encoder_in_another_folder_is_named_in_the_next_command(tmp_path):
    short = ["--frames", "80", "--model", "pca", "--latent-dim", "4", "--out", tmp_path / "mine"]
    done = succeed(tmp_path, "pretrain_vae", *REACH, *short)
    assert f"train_agent.py --latent --env PixelReach-v0 --vae {tmp_path / 'mine'}" in done.out


@pytest.mark.parametrize(("flags", "poor"), [(["--model", "pca"], False), (["--steps", "3"], True)])
def test_a_failed_check_names_the_comparison_of_agents(flags, poor, tmp_path):
    short = ["--frames", "400", "--latent-dim", "100", "--batch-size", "16"]
    done = succeed(tmp_path, "pretrain_vae", *REACH, *short, *flags)
    assert ("study.py compare --env PixelReach-v0" in done.out) == poor


class Unbounded(PixelReach):
    """PixelReach, which has actions without bounds as well."""

    def __init__(self, actions=None, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.action_space = actions or self.action_space

    def step(self, action):
        return super().step(int(np.abs(action).sum()) % 4)


@pytest.mark.filterwarnings("ignore:train_agent.py will refuse this")
@pytest.mark.parametrize(
    ("space", "trained"),
    [(None, True), (gym.spaces.Box(-np.inf, np.inf, (2,)), False)],
    ids=["discrete", "unbounded"],
)
def test_an_agent_is_the_next_command_only_where_one_can_learn(
    space, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(gym.envs.registration, "registry", {**gym.registry})
    gym.register("Next-v0", Unbounded, kwargs={"actions": space}, max_episode_steps=20)
    flags = ["--model", "pca", "--latent-dim", "4"]
    done = succeed(tmp_path, "pretrain_vae", *flags, "--env", "Next-v0", "--frames", "40")
    assert ("train_agent.py --latent --env Next-v0" in done.out) is trained
    (store,) = (tmp_path / "runs" / "frames" / "Next-v0").iterdir()
    again = succeed(tmp_path, "pretrain_vae", *flags, "--data", store)
    assert ("train_agent.py" in again.out) is trained
    command = f"reconstruct --model runs/vae/Next-v0/pca-2 --data {store}"
    assert (command in again.out) is not trained


def test_an_environment_that_is_not_installed_has_no_agent_next(tmp_path):
    config = PretrainConfig(data=tmp_path / "store", env="")
    assert not can_train_agent("NoSuch-v0", config)
    assert can_train_agent("no_such_module:Env", config)
    assert not can_train_agent("no_such_module:Env", PretrainConfig())


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


# The name of the runs, the shape, the latents (at most half as many as an observation has values),
# and the words of the report.
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


def test_little_data_gets_few_latents(tmp_path):
    np.save(tmp_path / "few.npy", np.random.default_rng(0).normal(size=(40, 2)))
    for name, flags, latents in (("pca-1", [], 1), ("pca-2", ["--latent-dim", 2], 2)):
        succeed(tmp_path, "pretrain_vae", "--data", "few.npy", "--model", "pca", *flags)
        saved = json.loads((tmp_path / f"runs/vae/few/{name}/pretraining.json").read_text())
        assert saved["latent_dim"] == latents


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
        "option: {corruption: gaussian_noise, std: 0.4, backbone: {name: mlp, hidden: [8]}}\n"
    )
    done = succeed(tmp_path, "pretrain_vae", "--config", "mine.yaml")
    path = tmp_path / "runs/vae/sprites/denoising_ae-1"
    (corruption,) = lrl.load(path).config.corruptions
    assert (corruption["name"], corruption["std"]) == ("gaussian_noise", 0.4)
    flags = "--model runs/vae/sprites/denoising_ae-1 --data sprites.npy --corrupt auto"
    assert f"autoencode.py denoise {flags}\n" in done.out
    # A resumed run has the saved flags, without the file.
    again = succeed(
        tmp_path, "pretrain_vae", "--data", "sprites.npy", "--model", "denoising_ae", "--resume"
    )
    assert "denoising_ae-1" in again.out


def test_help_lists_the_models(tmp_path):
    text = " ".join(script(tmp_path, "pretrain_vae", "--help").out.replace("│", " ").split())
    assert f"One of: {', '.join(MODELS)}." in text
    assert "NAME=VALUE" in text


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
