"""Procedural data and one small fitted model, shared by the tests of the library."""

from __future__ import annotations

import signal
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.cli import plugins

with warnings.catch_warnings():
    # SWIG's module dies of a segmentation fault where its DeprecationWarning is an error, so it is
    # imported here first.
    warnings.simplefilter("ignore")
    import Box2D  # noqa: F401

torch.set_num_threads(1)  # networks this small run slower on several threads
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a job in the background ignores it, and so do its children


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plugins of commands that earlier tests ran in this process."""
    monkeypatch.setattr(plugins, "IMPORTED", [])


SMALL = {"name": "conv", "channels": (8, 8), "hidden": 32}


def moving_square(count: int, seed: int = 0, side: int = 32) -> Any:
    """Draw a 10 pixel square of random place and colour on black, ``(count, side, side, 3)``
    uint8."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, side, side, 3), np.uint8)
    for image in images:
        top, left = rng.integers(0, side - 10, 2)
        image[top : top + 10, left : left + 10] = rng.integers(60, 256, 3)
    return images


@pytest.fixture(scope="session")
def small_backbone() -> dict[str, Any]:
    return SMALL


@pytest.fixture(scope="session")
def images() -> Any:
    return moving_square(200)


@pytest.fixture(scope="session")
def vectors() -> Any:
    """Correlated vectors whose principal variances are well apart, ``(1000, 8)`` float32."""
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    return (
        rng.standard_normal((1000, 8)) * [8, 6, 4.5, 1, 0.7, 0.5, 0.3, 0.2] @ mixing + 3
    ).astype(np.float32)


@pytest.fixture(scope="session")
def fitted(images: Any) -> lrl.Autoencoder:
    torch.manual_seed(0)
    model = lrl.beta_vae(images.shape[1:], latent_dim=6, beta=0.1, backbone=SMALL)
    lrl.fit(
        model,
        images,
        lrl.FitConfig(steps=60, batch_size=32, precision="float32", device="cpu"),
        progress=False,
    )
    return model
