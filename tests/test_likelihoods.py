"""Log probabilities against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, distributions

from latentrl.likelihoods import LIKELIHOODS

SHAPES = [(3, 8, 9), (5,)]


def oracle(name: str, outputs: Tensor, x: Tensor) -> Tensor:
    if name == "bernoulli":
        return distributions.Bernoulli(logits=outputs, validate_args=False).log_prob(x)
    return distributions.Normal(outputs, 0.1).log_prob(x)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_log_prob_equals_torch_distributions(name: str, shape: tuple[int, ...]) -> None:
    outputs, x = torch.randn(4, *shape), torch.rand(4, *shape)
    expected = oracle(name, outputs, x).flatten(1).sum(1)
    torch.testing.assert_close(LIKELIHOODS.build({"name": name}).log_prob(outputs, x), expected)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_gradient_ascent_brings_the_mean_to_the_target(name: str) -> None:
    likelihood = LIKELIHOODS.build({"name": name})
    outputs, x = torch.zeros(4, 3, 6, 6, requires_grad=True), torch.rand(4, 3, 6, 6)
    before = likelihood.log_prob(outputs, x)
    optimizer = torch.optim.Adam([outputs], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-likelihood.log_prob(outputs, x).sum()).backward()
        optimizer.step()
    assert before.shape == (4,)
    assert likelihood.mean(outputs).shape == x.shape
    torch.testing.assert_close(likelihood.mean(outputs), x, atol=0.02, rtol=0)


def test_learned_sigma_finds_the_spread_of_the_error() -> None:
    likelihood = LIKELIHOODS.build({"name": "gaussian", "sigma": 1.0, "learned": True})
    x = torch.randn(512, 10, generator=torch.Generator().manual_seed(0)) * 0.3
    optimizer = torch.optim.Adam(likelihood.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-likelihood.log_prob(torch.zeros_like(x), x).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(likelihood.log_sigma.detach().exp(), x.square().mean().sqrt(), rtol=1e-2, atol=0)


def test_fixed_sigma_is_not_trained() -> None:
    assert not any(p.requires_grad for p in LIKELIHOODS.build({"name": "gaussian"}).parameters())


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(ValueError, match=f"sigma is a standard deviation and must be positive, got {sigma}"):
        LIKELIHOODS.build({"name": "gaussian", "sigma": sigma})
