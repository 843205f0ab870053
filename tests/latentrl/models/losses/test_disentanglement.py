"""Total correlation and moments against closed forms, brute force and NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from latentrl.models.heads import GaussianPosterior, Posterior
from latentrl.models.losses import LOSSES
from latentrl.models.losses.disentanglement import total_correlation
from tests.latentrl.models.losses.helpers import NOISE, batch_of, build, random_posterior

CORRELATION = torch.tensor([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
EXACT_TC = float(-0.5 * torch.logdet(CORRELATION))  # 0.41 nats


def correlated(count: int, covariance: Tensor, seed: int = 0) -> Tensor:
    samples = torch.randn(count, len(covariance), generator=torch.Generator().manual_seed(seed))
    return samples @ torch.linalg.cholesky(covariance).T


def log_ratio(z: Tensor) -> Tensor:
    """Return log p(z) - sum of log p(z_j) under the correlated normal; its mean is the TC."""
    joint = MultivariateNormal(torch.zeros(3), CORRELATION).log_prob(z)
    return joint - Normal(0.0, 1.0).log_prob(z).sum(1)


def test_total_correlation_equals_its_definition() -> None:
    posterior, _ = random_posterior(7)
    z = posterior.sample(torch.randn(7, 3))
    q = Normal(posterior.mean, (posterior.log_variance / 2).exp())
    joint = torch.stack([q.log_prob(row).sum(1).exp().mean() for row in z])
    marginals = torch.stack([q.log_prob(row).exp().mean(0) for row in z])
    expected = (joint.log() - marginals.log().sum(1)).mean()
    torch.testing.assert_close(total_correlation(z, posterior), expected)
    term = build("total_correlation", weight=5.0)(batch_of(posterior, z=z))
    torch.testing.assert_close(term, 5 * expected)


def test_total_correlation_of_correlated_normals() -> None:
    fraction, scale = 0.2, torch.tensor([1.0, 2.0, 0.8])  # of the variance in the posteriors
    means = scale * correlated(2000, CORRELATION - fraction * torch.eye(3))
    posterior = GaussianPosterior(means, (fraction * scale.square()).log().expand(2000, 3))
    z = posterior.sample(correlated(2000, torch.eye(3), 1))
    estimate = float(total_correlation(z, posterior))
    assert estimate == pytest.approx(float(log_ratio(z / scale).mean()), abs=0.01)
    assert estimate == pytest.approx(EXACT_TC, abs=0.05)  # 2000 samples: standard error 0.016


def test_a_trained_classifier_estimates_the_total_correlation() -> None:
    torch.manual_seed(0)
    loss = LOSSES.build({"name": "density_ratio", "hidden": (64, 64)}, latent_dim=3)
    optimizer = torch.optim.Adam(loss.parameters(), 3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    for step in range(1000):
        z = correlated(1024, CORRELATION, 2 * step)
        noise = correlated(1024, torch.eye(3), 2 * step + 1)
        optimizer.zero_grad()
        loss.classification(z, noise).backward()
        optimizer.step()
        scheduler.step()
    z = correlated(20_000, CORRELATION, 9999)
    estimate = float(loss.total_correlation(z).detach())
    assert estimate == pytest.approx(float(log_ratio(z).mean()), abs=0.02)
    assert estimate == pytest.approx(EXACT_TC, abs=0.03)  # 20,000 samples: standard error 0.005


def test_latents_and_classifier_get_separate_gradients() -> None:
    loss = build("density_ratio", gamma=10.0)
    z = torch.randn(16, 3, requires_grad=True)
    weights = list(loss.classifier.parameters())
    estimate = torch.autograd.grad(loss.total_correlation(z), [z, *weights], allow_unused=True)
    assert estimate[0].abs().min() > 0
    assert all(gradient is None for gradient in estimate[1:])
    own = torch.autograd.grad(loss.classification(z, NOISE[1]), [z, *weights], allow_unused=True)
    assert own[0] is None
    assert all(gradient is not None and gradient.any() for gradient in own[1:])
    both = torch.autograd.grad(loss(batch_of(Posterior(z))), [z, *weights])
    torch.testing.assert_close(both[0], 10 * estimate[0])
    assert all(torch.equal(a, b) for a, b in zip(both[1:], own[1:], strict=True))


def test_the_classifier_compares_latents_with_shuffled_ones() -> None:
    calls: list[Tensor] = []
    loss = build("density_ratio")
    loss.classifier.register_forward_hook(
        lambda _, inputs, outputs: calls.append(torch.cat([*inputs, outputs], 1))
    )
    z = correlated(2000, CORRELATION)
    value = loss.classification(z, torch.randn(2000, 3))
    joint, shuffled = calls[0].chunk(2)
    assert torch.equal(joint[:, :3], z)
    assert torch.equal(shuffled[:, :3].sort(0).values, z.sort(0).values)  # the same marginals
    assert (torch.corrcoef(shuffled[:, :3].T) - torch.eye(3)).abs().max() < 0.08
    labels = torch.cat([torch.ones(2000), torch.zeros(2000)])
    expected = nn.functional.binary_cross_entropy_with_logits(calls[0][:, 3], labels)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("of", ["mean", "sample"])
def test_moments_equal_numpy(of: str) -> None:
    posterior, _ = random_posterior()
    covariance = np.cov(posterior.mean.numpy(), rowvar=False)
    if of == "sample":
        covariance = covariance + np.diag(posterior.log_variance.exp().mean(0).numpy())
    expected = sum(
        (2.0 * covariance[i, j] ** 2) if i != j else 5.0 * (covariance[i, i] - 1) ** 2
        for i, j in itertools.product(range(3), repeat=2)
    )
    term = build("moments", of=of, off_diagonal=2.0, diagonal=5.0)(batch_of(posterior))
    assert float(term) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("of", ["mean", "sample"])
def test_moments_are_those_of_the_samples(of: str) -> None:
    means = correlated(20_000, 2 * CORRELATION)
    posterior = GaussianPosterior(means, torch.full((20_000, 3), math.log(0.5)))
    samples = means if of == "mean" else posterior.sample(correlated(20_000, torch.eye(3), 1))
    distance = (torch.cov(samples.T) - torch.eye(3)).square()
    expected = 2 * (distance.sum() - distance.trace()) + 5 * distance.trace()
    term = build("moments", of=of, off_diagonal=2.0, diagonal=5.0)(batch_of(posterior))
    torch.testing.assert_close(term, expected, rtol=0.02, atol=0)


@pytest.mark.parametrize("name", ["moments", "total_correlation"])
def test_one_dimension_has_no_dependence(name: str) -> None:
    options = {"diagonal": 0.0} if name == "moments" else {}
    posterior = GaussianPosterior(torch.randn(16, 1), torch.randn(16, 1))
    assert float(build(name, **options)(batch_of(posterior))) == pytest.approx(0, abs=1e-5)
