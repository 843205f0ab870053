"""Posteriors against torch.distributions, plain activations and the sigmoid's gradient."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from latentrl.models.heads import ACTIVATIONS, HEADS, BinaryPosterior, Posterior

OUTPUTS = 2 * torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(64, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list(HEADS))
def test_returns_a_posterior_of_the_stated_kind(name: str) -> None:
    head = HEADS.build({"name": name})
    posterior = head(torch.randn(6, head.outputs_per_latent * 5))
    assert type(posterior) is head.posterior
    assert posterior.mean.shape == (6, 5)
    assert torch.equal(posterior.sample(torch.zeros(6, 5)), posterior.mean)
    assert (posterior.sample(torch.randn(6, 5)).shape) == (6, 5)


@pytest.mark.parametrize("name", ["gaussian", "binary", "fsq", "codebook"])
def test_half_precision_outputs_give_float32_latents(name: str) -> None:
    posterior = HEADS.build({"name": name})(torch.randn(2, 4, dtype=torch.bfloat16))
    assert posterior.mean.dtype == torch.float32


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_a_point_is_the_activated_output(activation: str) -> None:
    posterior = HEADS.build({"name": "point", "activation": activation})(OUTPUTS)
    expected = {
        "identity": OUTPUTS,
        "relu": OUTPUTS.clamp(min=0),
        "sigmoid": 1 / (1 + (-OUTPUTS).exp()),
    }
    torch.testing.assert_close(posterior.mean, expected[activation])
    assert torch.equal(posterior.sample(NOISE), posterior.mean)


def test_gaussian_kl_and_sample_equal_torch_distributions() -> None:
    outputs = torch.randn(64, 10) * 2
    posterior = HEADS.build({"name": "gaussian"})(outputs)
    normal = Normal(outputs[:, :5], (outputs[:, 5:] / 2).exp())
    torch.testing.assert_close(posterior.kl(), kl_divergence(normal, Normal(0.0, 1.0)))
    torch.testing.assert_close(posterior.sample(NOISE), normal.loc + normal.scale * NOISE)


def test_huge_log_variances_stay_finite() -> None:
    posterior = HEADS.build({"name": "gaussian"})(torch.full((1, 2), 1e4))
    assert torch.isfinite(posterior.kl()[:, :1] - posterior.mean.square()).all()
    assert torch.isfinite(posterior.sample(torch.ones(1, 1))).all()


@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_bits_are_exactly_zero_or_one(noise: float) -> None:
    posterior = HEADS.build({"name": "binary", "noise": noise})(OUTPUTS)
    assert torch.equal(posterior.mean, (OUTPUTS > 0).float())
    assert isinstance(posterior, BinaryPosterior)
    assert torch.equal(posterior.logits, OUTPUTS)


def test_the_gradient_of_bits_is_that_of_their_probabilities() -> None:
    weights = torch.randn(64, 5)
    gradients = []
    for read in (lambda x: HEADS.build({"name": "binary"})(x).sample(NOISE), torch.sigmoid):
        x = OUTPUTS.clone().requires_grad_()
        (read(x) * weights).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().min() > 0


def test_noisy_bits_are_decoded_as_probabilities_of_noisy_logits() -> None:
    posterior = HEADS.build({"name": "binary", "noise": 1.5})(OUTPUTS)
    torch.testing.assert_close(posterior.sample(NOISE), torch.sigmoid(OUTPUTS + 1.5 * NOISE))
    saturated = HEADS.build({"name": "binary", "noise": 1.5})(50 * OUTPUTS.sign())
    torch.testing.assert_close(saturated.sample(NOISE), saturated.mean)


@pytest.mark.parametrize("name", ["point", "binary"])
def test_only_distributions_have_a_kl(name: str) -> None:
    with pytest.raises(
        TypeError, match="only a Gaussian posterior has a KL divergence; use head 'gaussian'"
    ):
        HEADS.build({"name": name})(OUTPUTS).kl()
    with pytest.raises(TypeError, match="only a Gaussian posterior has a KL divergence"):
        Posterior(OUTPUTS).kl()


def test_heads_are_checked() -> None:
    with pytest.raises(
        ValueError, match="unknown activation 'tanh'; known: identity, relu, sigmoid"
    ):
        HEADS.build({"name": "point", "activation": "tanh"})
    with pytest.raises(
        ValueError, match=r"noise is a standard deviation and cannot be negative, got -1\.0"
    ):
        HEADS.build({"name": "binary", "noise": -1.0})
