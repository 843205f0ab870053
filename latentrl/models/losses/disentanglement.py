"""Penalties on the dependence between the dimensions of a code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.backbones.conv import dense
from latentrl.models.heads import LOG_VARIANCE_LIMIT, GaussianPosterior, Posterior
from latentrl.models.losses.base import LOSSES, Batch, check_weight

LOG_2PI = math.log(2 * math.pi)


@LOSSES.register("total_correlation")
@dataclass(frozen=True)
class TotalCorrelation:
    """weight * TC(q(z)), estimated from the minibatch (Chen et al. 2018, arXiv:1802.04942).

    q(z) is taken as the mixture of the batch's posteriors. The paper's weighting by the size of the
    data only shifts the estimate by a constant.
    """

    weight: float = 5.0
    name = "total_correlation"
    needs = GaussianPosterior
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Refuse a negative weight."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted total correlation."""
        return self.weight * total_correlation(batch.z, batch.posterior)


def total_correlation(z: Tensor, code: Posterior) -> Tensor:
    """Estimate KL(q(z) || prod_j q(z_j)) in nats from samples ``z (B, latent_dim)`` of the
    posteriors ``code``.
    """
    mean, log_variance = code.mean, _log_variance(code)
    squares = (z[:, None] - mean).square() * (
        -log_variance
    ).exp()  # (B, B, latent_dim): sample, posterior, dimension
    log_density = -0.5 * (squares + log_variance + LOG_2PI)
    joint = log_density.sum(2).logsumexp(1)
    marginals = log_density.logsumexp(1).sum(1)
    return (joint - marginals).mean() + (z.shape[1] - 1) * math.log(len(z))


def _log_variance(code: Posterior) -> Tensor:
    assert isinstance(code, GaussianPosterior)
    return code.log_variance.clamp(min=-LOG_VARIANCE_LIMIT)


@LOSSES.register("density_ratio")
class DensityRatio(nn.Module):
    """gamma * TC(q(z)) by a classifier of codes against shuffled codes (Kim & Mnih 2018,
    arXiv:1802.05983).

    One backward pass trains both: the model sees the classifier's weights as constants, and the
    classifier sees the codes as constants. Unlike the paper, the shuffled codes are those of the
    same batch, and the classifier learns at the model's rate.
    """

    name = "density_ratio"
    needs = GaussianPosterior
    allows_overcomplete = False

    def __init__(
        self, latent_dim: int, gamma: float = 10.0, hidden: Sequence[int] = (256, 256, 256)
    ) -> None:
        """Build the classifier for codes of ``latent_dim``.

        Raises:
            ValueError: ``gamma`` is negative.
        """
        super().__init__()
        check_weight("gamma", gamma)
        self.gamma = gamma
        self.classifier = dense((latent_dim, *hidden, 1), nn.LeakyReLU(0.2))

    def forward(self, batch: Batch) -> Tensor:
        """Return the weighted total correlation plus the classifier's own loss."""
        return self.gamma * self.total_correlation(batch.z) + self.classification(
            batch.z, batch.extra_noise
        )

    def total_correlation(self, z: Tensor) -> Tensor:
        """Estimate the total correlation of ``z (B, latent_dim)`` in nats: the classifier's mean
        log odds.
        """
        constants = {name: weight.detach() for name, weight in self.classifier.named_parameters()}
        log_odds: Tensor = torch.func.functional_call(self.classifier, constants, (z,))
        return log_odds.float().mean()

    def classification(self, z: Tensor, spare: Tensor) -> Tensor:
        """Return the cross-entropy of telling ``z`` from itself with every dimension shuffled on
        its own.
        """
        together = z.detach()
        apart = together.gather(0, spare.argsort(0))
        log_odds = self.classifier(torch.cat([together, apart])).float().squeeze(1)
        return 0.5 * (
            F.softplus(-log_odds[: len(z)]).mean() + F.softplus(log_odds[len(z) :]).mean()
        )


@LOSSES.register("moments")
@dataclass(frozen=True)
class Moments:
    """Distance of the codes' covariance from the identity: DIP-VAE (Kumar et al. 2018,
    arXiv:1711.00848).
    """

    off_diagonal: float = 10.0
    """Weight of the squared covariances."""
    diagonal: float = 100.0
    """Weight of the squared distances of the variances from 1."""
    of: Literal["mean", "sample"] = "mean"
    """Covariance of the posterior means (DIP-VAE-I), or of the samples (DIP-VAE-II)."""
    name = "moments"
    needs = GaussianPosterior
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Check the weights and the version."""
        check_weight("off_diagonal", self.off_diagonal)
        check_weight("diagonal", self.diagonal)
        if self.of not in ("mean", "sample"):
            raise ValueError(f"unknown covariance of {self.of!r}; known: mean, sample")

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted squared distances."""
        count = len(batch.posterior.mean)
        centred = batch.posterior.mean - batch.posterior.mean.mean(0)
        covariance = centred.T @ centred / max(1, count - 1)
        if self.of == "sample":
            covariance = covariance + torch.diag(_log_variance(batch.posterior).exp().mean(0))
        diagonal = covariance.diagonal()
        off_diagonal = covariance.square().sum() - diagonal.square().sum()
        off: Tensor = self.off_diagonal * off_diagonal
        return off + self.diagonal * (diagonal - 1).square().sum()
