"""Every penalty adds a named term and moves a gradient; values against hand computation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from latentrl.autoencoder import Autoencoder, AutoencoderConfig
from latentrl.heads import Code
from latentrl.penalties import PENALTIES, Batch
from latentrl.types import as_space, space_to_json

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))


def make_model(*penalties: Mapping[str, Any]) -> Autoencoder:
    torch.manual_seed(0)
    space = space_to_json(as_space((8,)))
    config = AutoencoderConfig("test", space, 3, head={"name": "gaussian"}, body={"name": "mlp", "hidden": (16,)})
    return Autoencoder(dataclasses.replace(config, penalties=penalties))


def terms_and_gradient(model: Autoencoder) -> tuple[dict[str, Tensor], Tensor]:
    terms, _ = model.losses(X, X, NOISE, step=0)
    torch.stack(list(terms.values())).sum().backward()
    return terms, torch.cat([p.grad.flatten() for p in model.encoder.parameters() if p.grad is not None])


def batch_of(code: Code, step: int = 0) -> Batch:
    return Batch(X, code, code.mean, X, step)


def some_code() -> tuple[Code, Tensor]:
    code = Code(torch.randn(16, 3), torch.randn(16, 3))
    assert code.log_variance is not None
    exact = kl_divergence(Normal(code.mean, (code.log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    return code, exact


@pytest.mark.parametrize("name", list(PENALTIES))
def test_adds_a_term_and_moves_a_gradient(name: str) -> None:
    plain, without = terms_and_gradient(make_model())
    model = make_model({"name": name})
    terms, gradient = terms_and_gradient(model)
    assert list(terms) == ["reconstruction", model.penalties[0].name]
    assert terms[model.penalties[0].name].shape == ()
    assert torch.equal(terms["reconstruction"], plain["reconstruction"])
    assert (gradient - without).norm() > 1e-4 * without.norm()


def test_kl_term_is_beta_times_the_divergence() -> None:
    code, exact = some_code()
    torch.testing.assert_close(PENALTIES.build({"name": "kl", "beta": 3.0})(batch_of(code)), 3 * exact)


@pytest.mark.parametrize(("step", "target"), [(0, 0.0), (250, 5.0), (1000, 20.0), (5000, 20.0)])
def test_capacity_term_equals_hand_computation(step: int, target: float) -> None:
    code, exact = some_code()
    penalty = PENALTIES.build({"name": "capacity", "gamma": 7.0, "capacity": 20.0, "steps": 1000})
    torch.testing.assert_close(penalty(batch_of(code, step)), 7 * (exact - target).abs())


def test_beta_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match=r"beta is a weight and cannot be negative, got -1\.0"):
        PENALTIES.build({"name": "kl", "beta": -1.0})


@pytest.mark.parametrize("wrong", [{"gamma": -1.0}, {"capacity": -1.0}, {"steps": 0}])
def test_capacity_is_checked(wrong: dict[str, float]) -> None:
    name, value = next(iter(wrong.items()))
    message = rf"capacity needs gamma >= 0, capacity >= 0 nats and steps >= 1, got .*{name}={value}"
    with pytest.raises(ValueError, match=message):
        PENALTIES.build({"name": "capacity", **wrong})
