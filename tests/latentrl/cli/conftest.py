"""Tiny models of each kind, their data, and a call of the command ``latentrl``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import latentrl as lrl
from latentrl.cli.__main__ import main
from tests.latentrl.cli.helpers import BACKBONE, IMAGES, LABELS, fit_and_save


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with digits and a model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    options = {"backbone": BACKBONE}
    np.savez(folder / "digits.npz", observations=IMAGES, labels=LABELS)
    fit_and_save(lrl.beta_vae, IMAGES, folder / "vae", latent_dim=6, beta=0.3, **options)
    fit_and_save(lrl.denoising_ae, IMAGES, folder / "denoiser", latent_dim=16, std=0.4, **options)
    fit_and_save(lrl.inpainting_ae, IMAGES, folder / "painter", latent_dim=16, **options)
    fit_and_save(lrl.binary_ae, IMAGES, folder / "hash", latent_dim=20, **options)
    fit_and_save(lrl.pca, IMAGES, folder / "pca", latent_dim=8)
    lrl.save(lrl.random((8, 8), latent_dim=4), folder / "random")
    return folder


@pytest.fixture(scope="session")
def others(tmp_path_factory):
    """A folder with vectors and sequences, and a model of each."""
    folder = tmp_path_factory.mktemp("others")
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((200, 3)) @ rng.standard_normal((3, 7))).astype(np.float32)
    times, phases = np.linspace(0, 6, 10), rng.uniform(0, 6, 400)
    waves = np.sin(times + phases[:, None]).reshape(200, 10, 2).astype(np.float32)
    for name, data in {"vectors": vectors, "sequences": waves}.items():
        np.savez(folder / f"{name}.npz", observations=data, labels=np.arange(200) % 2)
        fit_and_save(lrl.vae, data, folder / name, latent_dim=3, backbone=BACKBONE)
    return folder


@pytest.fixture
def use(monkeypatch, capsys):
    """Return a function that runs a verb and returns its output, or its error message."""

    def call(verb, model, *flags, fails=False):
        words = ["latentrl", verb, "--model", str(model), *map(str, flags)]
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert code == (2 if fails else 0), err
        return err if fails else out

    return call


@pytest.fixture
def refused(models, tmp_path, use, monkeypatch):
    """Return a function that runs an invalid command line and returns its one-line error."""
    monkeypatch.chdir(tmp_path)
    arrays = {
        "wide": np.zeros((3, 8, 9), np.uint8),
        "one": IMAGES[:1],
        "short": np.arange(3),
        "factors": np.stack([LABELS, LABELS], 1),
        "narrow": np.ones((7, 8), bool),
        "none": np.zeros((8, 8), bool),
    }
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    Path("digits.npz").symlink_to(models / "digits.npz")

    def call(words):
        verb, model, *flags = shlex.split(words)
        path = models / model if (models / model).exists() else Path(model)
        error = use(verb, path, *flags, "--out", "out", fails=True)
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert not Path("out").exists()
        return error

    return call
