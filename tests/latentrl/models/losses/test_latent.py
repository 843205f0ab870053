"""Terms on single latents against brute force and autograd."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.heads import HEADS, Posterior
from latentrl.models.losses.latent import squared_jacobian
from tests.latentrl.models.losses.helpers import INPUTS, MLP, NOISE, X, batch_of, build, make_model


@pytest.mark.parametrize("prior", ["l1", "l2", "kl"])
def test_sparsity_equals_brute_force(prior: str) -> None:
    z = torch.rand(16, 3, dtype=torch.float64) - (0 if prior == "kl" else 0.5)
    rows = z.tolist()
    norms = {"l1": abs, "l2": lambda value: value**2}
    if prior == "kl":
        means = [sum(row[j] for row in rows) / 16 for j in range(3)]
        expected = sum(
            0.2 * math.log(0.2 / mean) + 0.8 * math.log(0.8 / (1 - mean)) for mean in means
        )
    else:
        expected = sum(norms[prior](value) for row in rows for value in row) / 16
    batch = batch_of(Posterior(torch.zeros(16, 3)), z=z)
    term = build("sparsity", prior=prior, weight=3.0, target=0.2)(batch)
    assert float(term) == pytest.approx(3 * expected, rel=1e-5)


def test_sparsity_is_zero_at_the_target_and_finite_everywhere() -> None:
    loss = build("sparsity", prior="kl", target=0.05)
    at_target, low, high = (
        float(loss(batch_of(Posterior(torch.full((16, 3), z))))) for z in (0.05, 0.0, 1.0)
    )
    assert at_target == pytest.approx(0, abs=1e-6)
    assert math.isfinite(low)
    assert math.isfinite(high)


def jacobians(model: Autoencoder, x: Tensor) -> Tensor:
    """Return d mean / d x of every observation, ``(B, latent_dim, 8)``."""
    return torch.func.vmap(
        torch.func.jacrev(lambda row: model.head(model.encoder(row[None])).mean[0])
    )(x)


@pytest.mark.parametrize("tied", [False, True])
def test_contraction_of_a_sigmoid_layer_equals_jacrev(tied: bool) -> None:
    backbone = {"name": "sigmoid", "tied": tied}
    model = make_model({"name": "contraction", "weight": 2.0}, head="point", backbone=backbone)
    terms, batch = model.losses(X, INPUTS, None, NOISE, 0)
    expected = jacobians(model, INPUTS).square().sum((1, 2))
    torch.testing.assert_close(squared_jacobian(batch), expected)
    torch.testing.assert_close(terms["contraction"], 2 * expected.mean())
    weight = model.encoder.linear.weight
    (exact,) = torch.autograd.grad(terms["contraction"], weight)
    (brute,) = torch.autograd.grad(2 * expected.mean(), weight)
    torch.testing.assert_close(exact, brute)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    ("head", "backbone"),
    [
        ({"name": "point"}, MLP),
        ({"name": "point", "activation": "sigmoid"}, {"name": "sigmoid"}),
        ({"name": "gaussian"}, {"name": "sigmoid"}),
        ({"name": "binary"}, {"name": "sigmoid"}),
    ],
    ids=str,
)
def test_contraction_by_random_directions_equals_jacrev_on_average(
    head: Any, backbone: Any, grad: bool
) -> None:
    model = make_model({"name": "contraction"}, head=head, backbone=backbone)
    _, batch = model.losses(INPUTS, INPUTS, None, None, 0)
    expected = jacobians(model, INPUTS).square().sum((1, 2))
    draws = 4000
    noise = torch.randn(draws * 16, 3, generator=torch.Generator().manual_seed(0))
    many = dataclasses.replace(batch, inputs=INPUTS.repeat(draws, 1), extra_noise=noise)
    with torch.set_grad_enabled(grad):
        estimate = squared_jacobian(many).view(draws, 16).mean(0)
    assert estimate.requires_grad == grad
    torch.testing.assert_close(estimate, expected, rtol=0.1, atol=0)
    torch.testing.assert_close(estimate.sum(), expected.sum(), rtol=0.03, atol=0)


def test_saturation_equals_brute_force() -> None:
    logits = torch.randn(16, 3)
    posterior = HEADS.build({"name": "binary"})(logits)
    odds = [[1 / (1 + math.exp(-value)) for value in row] for row in logits.tolist()]
    expected = 0.7 * sum(4 * p * (1 - p) for row in odds for p in row) / 16
    term = build("saturation", weight=0.7)(batch_of(posterior))
    assert float(term) == pytest.approx(expected, rel=1e-5)


def test_codebook_terms_equal_brute_force_and_move_one_side_each() -> None:
    head = HEADS.build({"name": "codebook", "values": 4}, channels=3)
    outputs = torch.randn(16, 3, requires_grad=True)
    batch = batch_of(head(outputs))
    table = head.values.tolist()
    nearest = [
        [
            min(values, key=lambda value: abs(value - z))
            for z, values in zip(row, table, strict=True)
        ]
        for row in outputs.tolist()
    ]
    squares = (torch.tensor(nearest) - outputs.detach()).square()
    for name in ("quantise", "commit"):
        term = build(name, weight=0.3)(batch)
        assert float(term.detach()) == pytest.approx(0.3 * 8 * float(squares.sum()) / 48, rel=1e-5)
        of_outputs, of_values = torch.autograd.grad(
            term, [outputs, head.values], allow_unused=True, retain_graph=True
        )
        gradient = 0.3 * 8 * 2 * (outputs.detach() - torch.tensor(nearest)) / 48
        if name == "commit":
            assert of_values is None
            torch.testing.assert_close(of_outputs, gradient)
        else:
            assert of_outputs is None
            torch.testing.assert_close(of_values.sum(1), -gradient.sum(0))


def test_prediction_trains_the_encoder_and_not_the_latent() -> None:
    z, mean = torch.randn(16, 3, requires_grad=True), torch.randn(16, 3, requires_grad=True)
    term = build("prediction", weight=3.0)(batch_of(Posterior(mean), z=z))
    pairs = zip(z.flatten().tolist(), mean.flatten().tolist(), strict=True)
    assert float(term.detach()) == pytest.approx(3 * sum((a - b) ** 2 for a, b in pairs) / 16)
    of_z, of_mean = torch.autograd.grad(term, [z, mean], allow_unused=True)
    assert of_z is None
    torch.testing.assert_close(of_mean, 6 * (mean - z).detach() / 16)
