"""Mistakes with ``pretrain_vae`` get one clear line, before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.models import MODELS
from tests.scripts.running import PRETRAIN, REACH, noise, script


def test_unknown_model(tmp_path):
    done = script(tmp_path, "pretrain_vae", *REACH, *PRETRAIN, "--model", "beta")
    assert done.code == 2
    assert done.err == f"error: unknown model 'beta'; known: {', '.join(MODELS)}\n"


def test_data_that_is_not_there(tmp_path):
    done = script(tmp_path, "pretrain_vae", "--data", "nothing.npy")
    assert done.code == 2
    assert done.err.startswith("error: nothing at nothing.npy")


IMAGES = ["--data", "images.npy"]
WRONG = [
    (IMAGES, noise(20, 2, 8, 8, 3), "images.npy holds observations of four axes, (20, 2, 8, 8, 3)"),
    (
        IMAGES,
        np.zeros((20, 5, 5), np.uint8),
        "images go through the network at 8 to 256 pixels a side, not 5x5",
    ),
    (IMAGES, noise(20, 16, 16, 257), "images have 1 to 256 channels, got shape (16, 16, 257)"),
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
    ([*IMAGES, "--option", "beta=[1"], noise(20, 8, 8), "'[1' is not YAML"),
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
        "item 0 of hidden of backbone 'mlp' is a whole number, got 'a'",
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
    (
        [*IMAGES, "--epochs", 0],
        noise(20, 8, 8),
        "epochs must be a whole number of at least 1, got 0",
    ),
    (
        [*IMAGES, "--batch-size", 0],
        noise(20, 8, 8),
        "batch_size must be a whole number of at least 1, got 0",
    ),
]


@pytest.mark.parametrize(
    ("flags", "array", "message"), WRONG, ids=[f"{message[:40]}" for *_, message in WRONG]
)
def test_mistakes_get_one_line(flags, array, message, tmp_path):
    np.save(tmp_path / "images.npy", array)
    done = script(tmp_path, "pretrain_vae", *flags)
    assert done.code == 2
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not list(tmp_path.glob("runs/vae/*/*"))


def test_a_folder_without_images_and_a_damaged_one(tmp_path):
    (tmp_path / "empty").mkdir()
    assert (
        "holds neither a frame store nor images"
        in script(tmp_path, "pretrain_vae", "--data", "empty").err
    )
    (tmp_path / "empty" / "broken.png").write_bytes(b"no image")
    assert (
        "broken.png cannot be read as an image"
        in script(tmp_path, "pretrain_vae", "--data", "empty").err
    )
    assert not (tmp_path / "runs").exists()
