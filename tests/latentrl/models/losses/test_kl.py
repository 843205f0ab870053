"""The KL terms against torch.distributions."""

from __future__ import annotations

import pytest
import torch

from latentrl.models.heads import GaussianPosterior
from tests.latentrl.models.losses.helpers import batch_of, build, random_posterior


def test_kl_term_is_beta_times_the_divergence() -> None:
    posterior, exact = random_posterior()
    torch.testing.assert_close(build("kl", beta=3.0)(batch_of(posterior)), 3 * exact.sum(1).mean())


def test_free_bits_cost_a_constant_below_the_floor() -> None:
    posterior, exact = random_posterior()
    means = exact.mean(0)
    floor = float(means.sort().values[:2].mean())  # one dimension below it, two above
    mean, log_variance = posterior.mean.requires_grad_(), posterior.log_variance.requires_grad_()
    term = build("kl", beta=2.0, free_bits=floor)(batch_of(GaussianPosterior(mean, log_variance)))
    torch.testing.assert_close(term, torch.tensor(2 * sum(max(float(kl), floor) for kl in means)))
    term.backward()
    for gradient in (mean.grad, log_variance.grad):
        assert torch.equal(gradient.any(0), means > floor)


@pytest.mark.parametrize(("step", "target"), [(0, 0.0), (250, 5.0), (1000, 20.0), (5000, 20.0)])
def test_capacity_term_equals_hand_computation(step: int, target: float) -> None:
    posterior, exact = random_posterior()
    loss = build("capacity", gamma=7.0, capacity=20.0, steps=1000)
    expected = 7 * (exact.sum(1).mean() - target).abs()
    torch.testing.assert_close(loss(batch_of(posterior, step=step)), expected)
