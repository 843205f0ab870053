"""What trained variational models guarantee, against closed forms and one another."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from tests.latentrl.models.helpers import BACKBONE, LINEAR, first_linear, fit, scaled, seeded

# The evidence lower bound of a linear model, whose evidence has a closed form.

SIGMA = 0.4


def linear_vae() -> Autoencoder:
    return lrl.vae((5,), 2, likelihood={"name": "gaussian", "sigma": SIGMA}, backbone=LINEAR)


def set_to_the_optimum(model: Autoencoder) -> None:
    """Write a decoder with orthogonal columns, and its posterior (Tipping & Bishop 1999)."""
    generator = torch.Generator().manual_seed(0)
    columns = torch.linalg.qr(torch.randn(5, 2, generator=generator))[0] * torch.tensor([1.5, 0.7])
    offset = torch.randn(5, generator=generator)
    precision = columns.square().sum(0) + SIGMA**2  # W'W + sigma^2 I, which is diagonal
    mean = columns.T / precision[:, None]
    encoder, decoder = first_linear(model.encoder), first_linear(model.decoder)
    with torch.no_grad():
        decoder.weight.copy_(columns)
        decoder.bias.copy_(offset)
        encoder.weight.copy_(torch.cat([mean, torch.zeros(2, 5)]))
        encoder.bias.copy_(torch.cat([-mean @ offset, (SIGMA**2 / precision).log()]))


def evidence(model: Autoencoder, x: Tensor) -> Any:
    decoder = first_linear(model.decoder)
    weight, offset = (
        decoder.weight.detach().double().numpy(),
        decoder.bias.detach().double().numpy(),
    )
    return multivariate_normal(offset, weight @ weight.T + SIGMA**2 * np.eye(5)).logpdf(
        x.double().numpy()
    )


@torch.no_grad()
def lower_bound(model: Autoencoder, x: Tensor) -> Any:
    """Return the bound of each row of ``x``, without sampling error.

    Four points at a distance of sqrt(2) average squares exactly."""
    points = math.sqrt(2) * torch.cat([torch.eye(2), -torch.eye(2)])
    noise = torch.stack([points, points])
    bounds = []
    for row in x:
        terms, _ = model.losses(row.expand(4, 5), row.expand(4, 5), None, noise, 0)
        bounds.append(-float(sum(terms.values())))
    return np.array(bounds)


def test_the_bound_is_the_evidence_at_the_optimum() -> None:
    model, x = linear_vae(), 2 * torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    set_to_the_optimum(model)
    np.testing.assert_allclose(lower_bound(model, x), evidence(model, x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_the_bound_is_below_the_evidence_elsewhere(half: str, seed: int) -> None:
    model, x = linear_vae(), 2 * torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    set_to_the_optimum(model)
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in getattr(model, half).parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    gap = evidence(model, x) - lower_bound(model, x)
    assert gap.min() > 1e-3


def test_training_closes_the_gap() -> None:
    truth = linear_vae()
    set_to_the_optimum(truth)
    rng = np.random.default_rng(0)
    decoder = first_linear(truth.decoder)
    clean = (
        rng.standard_normal((3000, 2)) @ decoder.weight.detach().numpy().T
        + decoder.bias.detach().numpy()
    )
    x = (clean + SIGMA * rng.standard_normal((3000, 5))).astype(np.float32)
    model = seeded(linear_vae)
    model.preprocess.fit = lambda sample: None  # the units of the truth
    fit(model, x, 1000, 0.05)
    bound, own, best = (
        float(score.mean())
        for score in (
            lower_bound(model, torch.from_numpy(x[:500])),
            evidence(model, torch.from_numpy(x[:500])),
            evidence(truth, torch.from_numpy(x[:500])),
        )
    )
    assert own - 0.04 < bound < own
    assert bound == pytest.approx(best, abs=0.04)


def test_free_bits_prevent_collapse(vectors: Any) -> None:
    for free_bits in (0.5, 1.0):
        model = seeded(lrl.beta_vae, (8,), 3, beta=1000.0, free_bits=free_bits, backbone=BACKBONE)
        fit(model, vectors, 300, 0.01)
        # A minibatch scatters around its mean, and only a KL above the floor has a gradient.
        assert (0.7 * free_bits < model.latent_kl).all()
        assert (model.latent_kl < free_bits).all()
    collapsed = seeded(lrl.beta_vae, (8,), 3, beta=1000.0, backbone=BACKBONE)
    with pytest.warns(UserWarning, match="the latents have collapsed"):
        fit(collapsed, vectors, 300, 0.01)
    assert collapsed.latent_kl.max() < 0.001


def test_dip_vae_whitens_its_latents(vectors: Any) -> None:
    distances = []
    for make in (lrl.vae, functools.partial(lrl.dip_vae, off_diagonal=50.0)):
        model = seeded(make, (8,), 3, backbone=LINEAR)
        fit(model, vectors, 300, 0.02)
        distances.append(np.square(np.cov(model.encode(vectors), rowvar=False) - np.eye(3)).sum())
    assert distances[1] < 0.1 * distances[0]


# Likelihoods.


def test_the_standard_deviation_of_every_observation_is_learned() -> None:
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], (3000, 1))
    noise = np.where(side < 0, 0.1, 1.0) * rng.standard_normal((3000, 4))
    x = np.concatenate([side + 0.05 * rng.standard_normal((3000, 4)), noise], 1).astype(np.float32)
    model = seeded(lrl.ae, (8,), 1, likelihood="diagonal_gaussian", backbone=BACKBONE)
    fit(model, x, 600, 0.01)
    with torch.no_grad():
        std = model.likelihood.std(model(scaled(model, x))[2]) * model.preprocess.std
    for sign, expected in [(-1, 0.1), (1, 1.0)]:
        found = std[side[:, 0] == sign, 4:].mean(0)
        np.testing.assert_allclose(found, expected, rtol=0.15)
