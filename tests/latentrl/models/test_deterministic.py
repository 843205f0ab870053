"""What trained deterministic and binary models guarantee, against OpenCV and one another."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

import latentrl as lrl
from latentrl.models.backbones.recurrent import RecurrentEncoder
from latentrl.models.inference import INFERENCES
from latentrl.models.losses.latent import squared_jacobian
from tests.latentrl.models.helpers import (
    BACKBONE,
    SHORT,
    first_linear,
    fit,
    same_bits,
    scaled,
    seeded,
)

WARM = pytest.mark.filterwarnings("ignore:the latents have collapsed")  # too short to learn

# Sparse latents.


def test_more_weight_makes_more_zeros(vectors: Any) -> None:
    fractions = []
    for weight in (1e-3, 10.0, 100.0):
        model = seeded(lrl.sparse_ae, (8,), 12, weight=weight, backbone=BACKBONE)
        fit(model, vectors, 200)
        fractions.append(float((np.abs(model.encode(vectors)) < 0.05).mean()))
    assert fractions[0] + 0.1 < fractions[1] < fractions[2] - 0.1


@pytest.mark.slow
def test_the_default_weight_makes_latents_sparse(images: Any) -> None:
    fractions = []
    for make in (lrl.ae, lrl.sparse_ae):
        model = seeded(make, images.shape[1:], 32, backbone={"name": "mlp", "hidden": (64,)})
        fit(model, images, 300)
        fractions.append(float((np.abs(model.encode(images)) < 0.05).mean()))
    assert fractions[1] > 3 * fractions[0]


@pytest.mark.parametrize("target", [0.1, 0.3])
def test_mean_activations_approach_the_target(target: float, vectors: Any) -> None:
    model = seeded(
        lrl.sparse_ae, (8,), 12, prior="kl", weight=1000.0, target=target, backbone=BACKBONE
    )
    fit(model, vectors)
    np.testing.assert_allclose(model.encode(vectors).mean(0), target, atol=0.04)


@pytest.mark.parametrize("kind", ["vectors", "images"])
@pytest.mark.parametrize("make", [lrl.sparse_ae, lrl.contractive_ae, lrl.psd_ae])
def test_columns_keep_their_length(make: Any, kind: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(kind)
    model = seeded(
        make,
        data.shape[1:],
        6,
        preprocessing=lrl.Preprocessing(size=(8, 8) if kind == "images" else None),
    )
    layer = first_linear(model.decoder)
    before = layer.columns.detach().clone()
    fit(model, data, 20, 0.02)
    assert not torch.allclose(layer.columns, before, atol=1e-3)
    moves = layer(torch.eye(6)) - layer(torch.zeros(6, 6))
    torch.testing.assert_close(moves.norm(dim=1), torch.ones(6), atol=1e-4, rtol=1e-4)


def test_predicted_latents_approach_inferred_ones(vectors: Any) -> None:
    model = seeded(lrl.psd_ae, (8,), 12, sparsity=3.0)
    inference = INFERENCES.build({"name": "fista", "sparsity": 3.0, "steps": 100})
    gaps, energies = [], []
    for steps in (1, 100):
        fit(model, vectors, steps)
        x = scaled(model, vectors)

        def reconstruction(h: Tensor, x: Tensor = x) -> Tensor:
            return -model.likelihood.log_prob(model.decoder(h), x).sum(1)

        with torch.no_grad():
            guess = model.head(model.encoder(x)).mean
            best = inference(reconstruction, guess)
            gaps.append(float((guess - best).square().sum() / best.square().sum()))
            energies.append(float((reconstruction(guess) + 3 * guess.abs().sum(1)).mean()))
    assert gaps[0] > 0.5
    assert gaps[1] < 0.1
    assert energies[1] < 0.1 * energies[0]


# Contractive latents.


def test_tied_weights_stay_tied(vectors: Any, tmp_path: Path) -> None:
    model = seeded(lrl.contractive_ae, (8,), 3, tied=True)
    before = model.encoder.linear.weight.detach().clone()
    fit(model, vectors, 50, path=tmp_path)
    for version in (model, copy.deepcopy(model), lrl.load(tmp_path, "cpu")):
        weight = version.encoder.linear.weight
        assert same_bits(version, model)
        assert not torch.allclose(weight, before, atol=1e-2)
        atoms = version.decoder(torch.eye(3)) - version.decoder(torch.zeros(1, 3))
        torch.testing.assert_close(atoms, weight)
    for version in (copy.deepcopy(model), lrl.load(tmp_path, "cpu")):
        with torch.no_grad():
            version.encoder.linear.weight.zero_()  # of this one alone
        assert not version.decoder(torch.eye(3)).std(0).any()
        assert model.decoder(torch.eye(3)).std(0).all()


def test_contraction_flattens_the_encoder(vectors: Any) -> None:
    norms = []
    for weight in (0.0, 1000.0):
        model = seeded(lrl.contractive_ae, (8,), 3, weight=weight, backbone={"name": "sigmoid"})
        fit(model, vectors)
        x = scaled(model, vectors)
        norms.append(float(squared_jacobian(model.losses(x, x, None, None, 0)[1]).mean().detach()))
    assert norms[1] < 0.5 * norms[0]


# Bits.


def test_noise_saturates_bits(vectors: Any) -> None:
    uncertainty = []
    for noise, steps in [(4.0, 1), (0.0, 500), (4.0, 500)]:
        model = seeded(lrl.binary_ae, (8,), 6, noise=noise, saturation=0.0, backbone=BACKBONE)
        fit(model, vectors, steps)
        with torch.no_grad():
            probability = model.head(model.encoder(scaled(model, vectors))).logits.sigmoid()
        uncertainty.append(float((probability * (1 - probability)).mean()))
    start, without, with_noise = uncertainty
    assert with_noise < 0.3 * start
    assert with_noise < 0.5 * without


def test_bits_differ_between_observations(vectors: Any) -> None:
    model = seeded(lrl.binary_ae, (8,), 8, backbone=BACKBONE)
    fit(model, vectors, 500)
    bits = model.encode(vectors)
    assert set(np.unique(bits)) == {0.0, 1.0}
    assert len(np.unique(bits, axis=0)) > 30
    error = np.square(model.reconstruct(vectors) - vectors).sum()
    assert error < 0.5 * np.square(vectors - vectors.mean(0)).sum()


# Corrupted inputs.


@WARM
def test_a_hole_of_weight_zero_is_a_plain_corruption(images: Any) -> None:
    backbone = {"name": "conv", "channels": (4,), "hidden": 8}
    inpainting = seeded(lrl.inpainting_ae, (32, 32, 3), 3, weight=0.0, backbone=backbone)
    plain = seeded(lrl.denoising_ae, (32, 32, 3), 3, corruption="cutout", backbone=backbone)
    histories = [
        lrl.fit(model, images, SHORT, progress=False).epochs for model in (inpainting, plain)
    ]
    assert same_bits(inpainting, plain)
    for filled, restored in zip(*histories, strict=True):
        assert filled.pop("train/hole") == 0
        assert filled == restored


def gratings(count: int, seed: int) -> Any:
    """Draw stripes of random direction, phase and colour, ``(count, 16, 16, 3)`` uint8."""
    rng = np.random.default_rng(seed)
    phase, angle = rng.uniform(0, [[6.3], [3.1]], (2, count))[..., None, None, None]
    rows, columns = np.mgrid[:16, :16][..., None]
    waves = np.sin(0.8 * (columns * np.cos(angle) + rows * np.sin(angle)) + phase)
    return (128 + rng.uniform(60, 127, (count, 1, 1, 3)) * waves).astype(np.uint8)


def test_holes_are_filled_better_than_by_opencv() -> None:
    model, test = (
        seeded(lrl.inpainting_ae, (16, 16, 3), 32, backbone={"name": "mlp", "hidden": (128,)}),
        gratings(100, 1),
    )
    fit(model, gratings(1500, 0), 400, 3e-3)
    x = torch.ones(100, 3, 16, 16)
    _, mask = model.corruptions[0](x, torch.Generator().manual_seed(0))
    hole = mask.expand_as(x).permute(0, 2, 3, 1).numpy()
    corrupted = np.where(hole, 0, test).astype(np.uint8)
    pairs = list(zip(corrupted, hole[..., 0], strict=True))
    answers = {
        "model": model.reconstruct(corrupted),
        "opencv": np.stack(
            [cv2.inpaint(image, gap.astype(np.uint8), 3, cv2.INPAINT_TELEA) for image, gap in pairs]
        ),
        "mean colour": np.stack(
            [np.broadcast_to(image[~gap].mean(0), image.shape) for image, gap in pairs]
        ),
    }
    errors = {
        name: np.square(filled.astype(float) - test)[hole].mean()
        for name, filled in answers.items()
    }
    assert errors["model"] < 0.4 * min(errors["opencv"], errors["mean colour"])


# Sequences.


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_sequences_are_learned(cell: str) -> None:
    phases, rates = np.random.default_rng(0).uniform([0, 0.3], [6.3, 0.9], (600, 2)).T
    steps = np.arange(16)
    waves = np.sin(phases[:, None] + rates[:, None] * steps)[..., None].astype(np.float32)
    space = spaces.Box(-np.inf, np.inf, (16, 1), np.float32)
    model = seeded(lrl.ae, space, 4, backbone={"name": "recurrent", "hidden": 16, "cell": cell})
    history = fit(model, waves, 300, 0.02)
    error = np.square(model.reconstruct(waves) - waves).mean()
    assert error < 0.04 * waves.var()
    assert history.epochs[-1]["psnr"] > history.epochs[0]["psnr"] + 10


def test_new_models_of_sequences_name_their_network_and_older_files_are_recurrent() -> None:
    space = spaces.Box(-np.inf, np.inf, (10, 3), np.float32)
    model = lrl.ae(space, 4)
    assert model.config.backbone == {"name": "mlp"}
    older = lrl.Autoencoder(dataclasses.replace(model.config, backbone=None))
    assert isinstance(older.encoder, RecurrentEncoder)
    assert lrl.ae((16, 16), 4).config.backbone is None, "grey images"
