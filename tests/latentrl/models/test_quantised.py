"""Quantised heads and models: levels by brute force, gradients, training, files and layouts."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.heads import HEADS, CodebookPosterior
from latentrl.novelty.counters import LatentHash
from latentrl.types import LatentLayout

OUTPUTS = 2 * torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
PATCHES = {"name": "patches", "hidden": 8}
PLAIN = np.random.default_rng(0).choice([0, 255], (40, 2, 3, 3)).astype(np.uint8)
IMAGES = PLAIN.repeat(8, axis=1).repeat(8, axis=2)
"""Images of six plain patches, ``(40, 16, 24, 3)``."""


def gradient(function: Any) -> torch.Tensor:
    x = OUTPUTS.clone().requires_grad_()
    return torch.autograd.grad((function(x) * WEIGHTS).sum(), x)[0]


@pytest.mark.parametrize("levels", [2, 3, 12])
def test_fsq_takes_the_nearest_of_its_levels(levels: int) -> None:
    head = HEADS.build({"name": "fsq", "levels": levels})
    grid = [-1 + 2 * step / (levels - 1) for step in range(levels)]
    expected = [
        [min(grid, key=lambda level: abs(level - math.tanh(z))) for z in row]
        for row in OUTPUTS.tolist()
    ]
    torch.testing.assert_close(head(OUTPUTS).mean, torch.tensor(expected))
    assert len(head(torch.linspace(-9, 9, 5000)[:, None]).mean.unique()) == levels


def test_the_gradient_of_fsq_is_that_of_the_hyperbolic_tangent() -> None:
    quantised = gradient(lambda x: HEADS.build({"name": "fsq"})(x).mean)
    torch.testing.assert_close(quantised, gradient(torch.tanh))


@pytest.mark.parametrize(("channels", "cells"), [(6, 1), (2, 3), (1, 6)])
def test_a_codebook_takes_the_nearest_value_of_its_channel(channels: int, cells: int) -> None:
    head = HEADS.build({"name": "codebook", "values": 5}, channels=channels)
    torch.nn.init.normal_(head.values, generator=torch.Generator().manual_seed(2))
    posterior = head(OUTPUTS)
    assert isinstance(posterior, CodebookPosterior)
    table = head.values.tolist()
    expected = [
        [min(table[i // cells], key=lambda value: abs(value - z)) for i, z in enumerate(row)]
        for row in OUTPUTS.tolist()
    ]
    assert posterior.mean.tolist() == expected, "the same bits, so that equal levels are equal"
    assert torch.equal(posterior.values, posterior.mean)
    assert torch.equal(posterior.outputs, OUTPUTS)


def test_the_gradient_of_a_codebook_passes_straight_through() -> None:
    head = HEADS.build({"name": "codebook"}, channels=6)
    torch.testing.assert_close(gradient(lambda x: head(x).mean), WEIGHTS)
    (head(OUTPUTS.clone().requires_grad_()).mean * WEIGHTS).sum().backward()
    assert head.values.grad is None, "the reconstruction does not move the values"


def test_new_codebooks_are_even() -> None:
    head = HEADS.build({"name": "codebook", "values": 3}, channels=2)
    assert head.values.tolist() == [[-0.5, 0.0, 0.5]] * 2


@pytest.mark.parametrize("name", ["fsq", "codebook"])
def test_the_number_of_levels_is_checked(name: str) -> None:
    option = {"fsq": "levels", "codebook": "values"}[name]
    message = f"{option} of head '{name}' lies between 2 and 65,536, got 1"
    with pytest.raises(ValueError, match=message):
        HEADS.build({"name": name, option: 1})


def test_options_choose_head_terms_and_decay() -> None:
    assert lrl.fsq_ae((8,), 3, levels=5).config.head == {"name": "fsq", "levels": 5}
    config = lrl.qlae((8,), 3, values=7, quantise=0.5, commit=0.25, weight_decay=0.2).config
    assert config.head == {"name": "codebook", "values": 7}
    assert config.losses == [
        {"name": "quantise", "weight": 0.5},
        {"name": "commit", "weight": 0.25},
    ]
    assert config.weight_decay == 0.2
    for decay in (-0.1, math.nan):
        with pytest.raises(ValueError, match="weight_decay cannot be negative, got"):
            lrl.qlae((8,), 3, weight_decay=decay)


@pytest.mark.parametrize(
    ("model", "width"),
    [
        (lrl.fsq_ae((8,), 3, levels=5), 1 / 4),
        (lrl.qlae((8,), 3, values=6), 1 / 10),
        (lrl.binary_ae((8,), 3), 1 / 2),
        (lrl.ae((8,), 3), None),
    ],
    ids=lambda value: str(getattr(getattr(value, "config", value), "model", value)),
)
def test_the_layout_says_the_width_of_the_levels(model: lrl.Autoencoder, width: float) -> None:
    assert model.latent_layout.level_width == pytest.approx(width)
    assert model.latent_layout.token_width == pytest.approx(width or 1.0)


@pytest.mark.parametrize("levels", [2, 5, 12, 255])
def test_tokens_are_the_exact_levels(levels: int) -> None:
    head = HEADS.build({"name": "fsq", "levels": levels})
    latents = head(torch.linspace(-9, 9, 4000)[:, None]).mean.numpy()
    layout = LatentLayout(None, 1, head.level_width)
    keys = LatentHash(width=layout.token_width)(latents)
    assert len(set(keys.tolist())) == len(np.unique(latents)) == levels


def test_values_of_a_codebook_that_are_close_are_tokens_of_their_own() -> None:
    head = HEADS.build({"name": "codebook", "values": 4}, channels=2)
    with torch.no_grad():
        head.values.copy_(torch.tensor([[0.3, -2.0, 0.3001, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    latents = head.values.detach().numpy().T
    for column, count in ((0, 4), (1, 1)):
        keys = LatentHash(width=head.level_width)(latents[:, [column]])
        assert len(set(keys.tolist())) == count


@pytest.mark.parametrize("name", ["fsq_ae", "qlae"])
def test_cells_share_levels_and_are_tokens(name: str) -> None:
    torch.manual_seed(0)
    model = lrl.models.make(name, (16, 24, 3), latent_dim=2 * 6, backbone=PATCHES)
    layout = model.latent_layout
    assert (layout.grid, layout.channels) == ((2, 3), 2)
    same = np.tile(IMAGES[:1, :8, :8], (1, 2, 3, 1))  # six times the same image region
    tokens = layout.split(model.encode(same))
    np.testing.assert_array_equal(tokens, np.broadcast_to(tokens[:, :1], tokens.shape))
    found = lrl.TokenCounts(layout).tokens.find(np.zeros(1, int), model.encode(same))
    assert len(np.unique(found.keys)) == 1


@pytest.mark.parametrize("shape", [(8,), (16, 24, 3)])
def test_a_codebook_is_trained_saved_loaded_and_copied(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    grid = len(shape) == 3
    model = lrl.qlae(shape, 12 if grid else 2, backbone=PATCHES if grid else None)
    fresh = model.head.values.detach().clone()
    assert fresh.shape == (2, 10), "one codebook per channel"
    data = IMAGES if grid else np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    config = lrl.FitConfig(
        steps=8, batch_size=8, learning_rate=1e-2, device="cpu", precision="float32"
    )
    lrl.fit(model, data, config, progress=False)
    assert not torch.equal(model.head.values, fresh)
    loaded = lrl.load(lrl.save(model, tmp_path), device="cpu")
    for other in (loaded, copy.deepcopy(model)):
        assert torch.equal(other.head.values, model.head.values)
        assert other.head.values is not model.head.values
        np.testing.assert_array_equal(other.encode(data), model.encode(data))
    assert set(np.unique(model.encode(data)).tolist()) <= set(model.head.values.flatten().tolist())
