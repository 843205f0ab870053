"""The two models that the tests of training run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from latentrl.models.autoencoder import Autoencoder
from tests.latentrl.training.helpers import make_denoiser, make_vae


@pytest.fixture(params=[make_vae, make_denoiser], ids=["vae", "denoising_ae"])
def case(
    request: pytest.FixtureRequest, vectors: Any, images: Any
) -> tuple[Callable[[], Autoencoder], Any]:
    """A model with noise in its latents or its inputs, and 900 or 180 frames to train on."""
    return request.param, vectors if request.param is make_vae else images
