"""Small models of drawn images, and their page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.data.factors import with_factors
from latentrl.viz import explore

SIDE = 16


def drawn(count: int = 48, side: int = SIDE, channels: int = 3) -> Any:
    """A square of changing place and brightness on a grey ground, ``(count, side, side, C)``."""
    images = np.full((count, side, side, channels), 60, np.uint8)
    generator = np.random.default_rng(0)
    for image, (top, left), shade in zip(
        images,
        generator.integers(0, side - 5, (count, 2)),
        generator.integers(100, 256, (count, channels)),
        strict=True,
    ):
        image[top : top + 5, left : left + 5] = shade
    return images


def varied(images: Any, make: Any = lrl.vae, **options: Any) -> lrl.Autoencoder:
    """A model with random weights, large enough for latents and frames that vary."""
    torch.manual_seed(0)
    model: lrl.Autoencoder = make(images.shape[1:], **options)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2 if weight.ndim > 1 else 1)
    return model


@dataclass
class Page:
    """A written page, the model behind it, and the JSON in it."""

    path: Path
    model: lrl.Autoencoder
    images: Any

    def json(self, name: str = "document") -> Any:
        text = self.path.read_text(encoding="utf-8")
        pattern = rf'<script type="application/json" id="{name}">(.*?)</script>'
        return json.loads(re.findall(pattern, text, re.DOTALL)[0])


def page_of(model: lrl.Autoencoder, images: Any, folder: Path, **options: Any) -> Page:
    return Page(explore(model, images, folder / "latent.html", **options), model, images)


@pytest.fixture(scope="session")
def vector_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a model with six latent dimensions, and a known factor."""
    images = drawn()
    shade = {"shade": images.max((1, 2, 3)).astype(float)}
    model = varied(images, latent_dim=6)
    return page_of(model, images, tmp_path_factory.mktemp("vector"), factors=shade)


@pytest.fixture(scope="session")
def factor_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of 120 frames with two known factors, one of them unknown in ten frames."""
    images = drawn(120)
    brightness = images.mean((1, 2, 3))
    red = np.where(np.arange(120) < 10, np.nan, images[..., 0].max((1, 2)).astype(float))
    frames = with_factors(lrl.as_frames(images), {"red": red, "constant": np.ones(120)})
    model = varied(images, latent_dim=6)
    folder = tmp_path_factory.mktemp("factors")
    page = page_of(model, frames, folder, factors={"brightness": brightness})
    return Page(page.path, model, images)


@pytest.fixture(scope="session")
def grid_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a model whose latents are a grid of cells."""
    images = drawn()
    model = varied(images, latent_dim=128, backbone={"name": "spatial"})
    return page_of(model, images, tmp_path_factory.mktemp("grid"))
