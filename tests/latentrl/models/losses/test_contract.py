"""Every registered loss adds a named term, moves a gradient, and names what it needs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from latentrl.models.heads import (
    HEADS,
    BinaryPosterior,
    CodebookPosterior,
    GaussianPosterior,
    Posterior,
)
from latentrl.models.losses import LOSSES
from tests.latentrl.models.losses.helpers import (
    INPUTS,
    LATENT_DIM,
    MASK,
    NOISE,
    X,
    batch_of,
    build,
    make_model,
    random_posterior,
    terms_and_gradient,
)

WEIGHTS = [
    (name, option)
    for name in LOSSES
    for option in ("weight", "beta", "gamma")
    if option in inspect.signature(LOSSES[name]).parameters
]


def heads(name: str) -> Iterator[str]:
    """Yield the heads that a loss is defined for."""
    needs = build(name).needs
    return (head for head in HEADS if issubclass(HEADS.build({"name": head}).posterior, needs))


@pytest.mark.parametrize("name", list(LOSSES))
def test_adds_a_term_under_its_name_and_moves_a_gradient(name: str) -> None:
    moved = []
    for head in heads(name):
        plain, without = terms_and_gradient(make_model(head=head))
        terms, gradient = terms_and_gradient(make_model({"name": name}, head=head))
        assert list(terms) == ["reconstruction", name]
        assert terms[name].shape == ()
        assert torch.equal(terms["reconstruction"], plain["reconstruction"])
        moved.append((gradient - without).norm() > 1e-5 * without.norm())
    assert any(moved)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_wrong_head_is_named(name: str) -> None:
    for head in set(HEADS) - set(heads(name)):
        message = f"loss '{name}' needs a .* posterior \\(head '.*'\\), not head '{head}'"
        with pytest.raises(ValueError, match=message):
            make_model({"name": name}, head=head)


@pytest.mark.parametrize(("name", "option"), WEIGHTS)
def test_weights_scale_the_term_and_cannot_be_negative(name: str, option: str) -> None:
    once, thrice = build(name, **{option: 1.0}), build(name, **{option: 3.0})
    if name != "density_ratio":  # which adds its classifier's own loss
        logits = torch.randn(16, 3)
        discrete = {
            BinaryPosterior: BinaryPosterior(logits.sigmoid(), logits, 0.0),
            CodebookPosterior: CodebookPosterior(logits.round(), logits, logits.round()),
        }
        posterior = discrete.get(once.needs, random_posterior()[0])
        batch = batch_of(posterior, z=posterior.mean + 1, encoder=nn.Linear(8, 3))
        torch.testing.assert_close(thrice(batch), 3 * once(batch))
    with pytest.raises(ValueError, match=option):
        build(name, **{option: -1.0})


@pytest.mark.parametrize(
    "name", [name for name in LOSSES if build(name).needs in (Posterior, GaussianPosterior)]
)
def test_a_batch_of_one_is_finite(name: str) -> None:
    model = make_model({"name": name})
    terms, _ = model.losses(X[:1], INPUTS[:1], MASK[:1], NOISE[:, :1], step=0)
    assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "kl", "beta": -1.0}, r"beta cannot be negative, got -1\.0"),
        (
            {"name": "kl", "free_bits": -1.0},
            r"free_bits are nats per dimension and cannot be negative, got -1\.0",
        ),
        (
            {"name": "capacity", "gamma": -1.0},
            r"capacity needs gamma >= 0, capacity >= 0 .* got gamma=-1\.0",
        ),
        ({"name": "capacity", "capacity": -1.0}, r"capacity needs .* got .*capacity=-1\.0"),
        ({"name": "capacity", "steps": 0}, r"steps >= 1, got .*steps=0"),
        ({"name": "sparsity", "weight": -1.0}, r"weight cannot be negative, got -1\.0"),
        ({"name": "sparsity", "prior": "l0"}, "prior of loss 'sparsity' is one of .*, got 'l0'"),
        (
            {"name": "sparsity", "target": 1.0},
            r"target is a mean activation between 0 and 1, got 1\.0",
        ),
        ({"name": "moments", "off_diagonal": -1.0}, r"off_diagonal cannot be negative, got -1\.0"),
        ({"name": "moments", "diagonal": -1.0}, r"diagonal cannot be negative, got -1\.0"),
        (
            {"name": "moments", "of": "median"},
            "of of loss 'moments' is one of 'mean', 'sample', got 'median'",
        ),
        ({"name": "commit", "weight": -1.0}, r"weight cannot be negative, got -1\.0"),
        ({"name": "topk", "fraction": 0.0}, r"fraction must lie in \(0, 1\], got 0\.0"),
        ({"name": "topk", "fraction": 1.5}, r"fraction must lie in \(0, 1\], got 1\.5"),
    ],
)
def test_values_are_checked(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LOSSES.build(spec, **LATENT_DIM)
