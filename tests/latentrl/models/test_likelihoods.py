"""Log probabilities and moments against torch.distributions, learned deviations against data."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, distributions
from torch.nn import functional as F

from latentrl.models.likelihoods import LIKELIHOODS, Likelihood, channel_axis

SHAPES = [(3, 8, 9), (6, 4), (5,)]


def zeros_for(likelihood: Likelihood, *shape: int) -> Tensor:
    """Return outputs of a decoder for a batch of ``shape``, all 0."""
    axis = channel_axis(len(shape))
    return torch.zeros(
        [size * likelihood.outputs_per_value if i == axis else size for i, size in enumerate(shape)]
    )


def ascend(
    likelihood: Likelihood, weights: list[Tensor], outputs: Tensor, x: Tensor, steps: int = 300
) -> None:
    optimizer = torch.optim.Adam(weights, 0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        widths = [len(x), *[-1] * (x.ndim - 1)]
        (-likelihood.log_prob(outputs.expand(widths), x).flatten(1).sum(1).mean()).backward()
        optimizer.step()
        schedule.step()


def oracle(name: str, outputs: Tensor) -> distributions.Distribution:
    if name == "bernoulli":
        return distributions.Bernoulli(logits=outputs, validate_args=False)
    if name == "gaussian":
        return distributions.Normal(outputs, 0.1)
    mean, free = outputs.chunk(2, {4: 1, 3: 2, 2: 1}[outputs.ndim])
    return distributions.Normal(mean, 0.01 + F.softplus(free + math.log(math.expm1(0.09))))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_equals_torch_distributions(name: str, shape: tuple[int, ...]) -> None:
    likelihood, x = LIKELIHOODS.build({"name": name}), torch.rand(4, *shape)
    outputs = torch.randn_like(zeros_for(likelihood, 4, *shape))
    expected = oracle(name, outputs)
    torch.testing.assert_close(likelihood.log_prob(outputs, x), expected.log_prob(x))
    torch.testing.assert_close(likelihood.mean(outputs), expected.mean)
    torch.testing.assert_close(likelihood.std(outputs), expected.stddev)


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_gradient_ascent_brings_the_mean_to_the_target(name: str) -> None:
    likelihood, x = LIKELIHOODS.build({"name": name}), torch.rand(4, 3, 6, 6)
    outputs = zeros_for(likelihood, *x.shape).requires_grad_()
    ascend(likelihood, [outputs], outputs, x)
    torch.testing.assert_close(likelihood.mean(outputs), x, atol=0.02, rtol=0)


def test_learned_sigma_approaches_the_standard_deviation_of_the_error() -> None:
    likelihood = LIKELIHOODS.build({"name": "gaussian", "sigma": 1.0, "learned": True})
    x = torch.randn(512, 10, generator=torch.Generator().manual_seed(0)) * 0.3
    ascend(likelihood, list(likelihood.parameters()), torch.zeros_like(x), x, 200)
    torch.testing.assert_close(
        likelihood.log_sigma.detach().exp(), x.square().mean().sqrt(), rtol=1e-2, atol=0
    )


def test_fixed_sigma_is_not_trained() -> None:
    assert not any(p.requires_grad for p in LIKELIHOODS.build({"name": "gaussian"}).parameters())


def test_every_value_learns_its_own_standard_deviation() -> None:
    likelihood = LIKELIHOODS.build({"name": "diagonal_gaussian"})
    deviations = torch.tensor([0.05, 0.2, 1.0, 0.0])
    x = 0.5 + deviations * torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    outputs = zeros_for(likelihood, 1, 4).requires_grad_()
    ascend(likelihood, [outputs], outputs, x, 500)
    found = likelihood.std(outputs.detach())[0]
    torch.testing.assert_close(found[:3], x.std(0)[:3], rtol=0.02, atol=0)
    assert 0.01 <= found[3] < 0.012  # a constant value stops at the floor


def test_the_standard_deviation_starts_at_sigma_and_has_a_floor() -> None:
    likelihood = LIKELIHOODS.build({"name": "diagonal_gaussian", "sigma": 0.3, "floor": 0.02})
    torch.testing.assert_close(likelihood.std(torch.zeros(1, 8)), torch.full((1, 4), 0.3))
    torch.testing.assert_close(likelihood.std(torch.full((1, 8), -1e4)), torch.full((1, 4), 0.02))


@pytest.mark.parametrize("sigma", [0.0, -1.0])
@pytest.mark.parametrize("name", ["gaussian", "diagonal_gaussian"])
def test_sigma_must_be_positive(name: str, sigma: float) -> None:
    with pytest.raises(
        ValueError, match=f"sigma is a standard deviation and must be positive, got {sigma}"
    ):
        LIKELIHOODS.build({"name": name, "sigma": sigma})


@pytest.mark.parametrize("name", ["gaussian", "diagonal_gaussian"])
def test_sigma_must_be_a_number(name: str) -> None:
    with pytest.raises(ValueError, match=f"sigma of likelihood '{name}' is a number, got nan"):
        LIKELIHOODS.build({"name": name, "sigma": math.nan})


def test_sigma_must_exceed_its_floor() -> None:
    with pytest.raises(
        ValueError,
        match=r"sigma must exceed floor, and floor must be positive; got sigma=0\.1, floor=0\.1",
    ):
        LIKELIHOODS.build({"name": "diagonal_gaussian", "floor": 0.1})
    with pytest.raises(
        ValueError,
        match=r"sigma must exceed floor, and floor must be positive; got sigma=0\.1, floor=0\.0",
    ):
        LIKELIHOODS.build({"name": "diagonal_gaussian", "floor": 0.0})
