"""Terms on the dependence between the dimensions of a latent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.backbones.base import dense
from latentrl.models.heads import LOG_VARIANCE_LIMIT, GaussianPosterior, Posterior
from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight
from latentrl.utils.decoding import Layers

LOG_2PI = math.log(2 * math.pi)


@LOSSES.register("total_correlation")
@dataclass(frozen=True)
class TotalCorrelation(Loss):
    """weight * TC(q(z)), estimated from the minibatch (Chen et al. 2018, arXiv:1802.04942).

    q(z) is approximated by the mixture of the batch's posteriors. The paper's weighting by the size
    of the data set only shifts the estimate by a constant.
    """

    weight: float = 5.0
    """Weight of the total correlation."""
    needs = GaussianPosterior

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted total correlation."""
        return self.weight * total_correlation(batch.z, batch.posterior)


def total_correlation(z: Tensor, posterior: Posterior) -> Tensor:
    """Estimate KL(q(z) || prod_j q(z_j)) in nats.

    Args:
        z: samples of the posteriors, ``(B, latent_dim)``.
        posterior: the Gaussian posteriors of the same batch.
    """
    mean, log_variance = posterior.mean, _log_variance(posterior)
    # (B, B, latent_dim): sample, posterior, dimension
    squares = (z[:, None] - mean).square() * (-log_variance).exp()
    log_density = -0.5 * (squares + log_variance + LOG_2PI)
    joint = log_density.sum(2).logsumexp(1)
    marginals = log_density.logsumexp(1).sum(1)
    # Each mixture has a factor 1 / B: one in the joint density, one per dimension in the marginals.
    return (joint - marginals).mean() + (z.shape[1] - 1) * math.log(len(z))


def _log_variance(posterior: Posterior) -> Tensor:
    assert isinstance(posterior, GaussianPosterior)
    return posterior.log_variance.clamp(min=-LOG_VARIANCE_LIMIT)


@LOSSES.register("density_ratio")
class DensityRatio(nn.Module, Loss):
    """gamma * TC(q(z)) by a classifier of latents against shuffled ones (Kim & Mnih 2018).

    The paper is arXiv:1802.05983. One backward pass trains both networks: the classifier's weights
    are constants in the model's term, and the latents are constants in the classifier's. Unlike in
    the paper, the shuffled latents come from the same batch, and both networks share a learning
    rate.
    """

    needs = GaussianPosterior

    def __init__(
        self, latent_dim: int, gamma: float = 10.0, hidden: Layers = (256, 256, 256)
    ) -> None:
        """Build the classifier.

        Args:
            latent_dim: size of the latent.
            gamma: weight of the total correlation.
            hidden: units of the classifier's hidden layers.

        Raises:
            ValueError: ``gamma`` is negative.
        """
        super().__init__()
        check_weight("gamma", gamma)
        self.gamma = gamma
        self.classifier = dense((latent_dim, *hidden, 1), nn.LeakyReLU(0.2))

    def forward(self, batch: Batch) -> Tensor:
        """Return the weighted total correlation plus the classifier's own loss."""
        penalty = self.gamma * self.total_correlation(batch.z)
        return penalty + self.classification(batch.z, batch.extra_noise)

    def total_correlation(self, z: Tensor) -> Tensor:
        """Estimate the total correlation of ``z (B, latent_dim)`` in nats."""
        # The log odds of an optimal classifier are log q(z) / prod_j q(z_j) (equation 3).
        constants = {name: weight.detach() for name, weight in self.classifier.named_parameters()}
        log_odds: Tensor = torch.func.functional_call(self.classifier, constants, (z,))
        return log_odds.float().mean()

    def classification(self, z: Tensor, noise: Tensor) -> Tensor:
        """Return the classifier's cross-entropy in nats.

        Args:
            z: latents ``(B, latent_dim)``; the other class has every dimension shuffled by itself.
            noise: ``(B, latent_dim)``; the order of its columns is the permutation.
        """
        joint = z.detach()
        shuffled = joint.gather(0, noise.argsort(0))
        log_odds = self.classifier(torch.cat([joint, shuffled])).float().squeeze(1)
        of_joint, of_shuffled = log_odds[: len(z)], log_odds[len(z) :]
        return 0.5 * (F.softplus(-of_joint).mean() + F.softplus(of_shuffled).mean())


@LOSSES.register("moments")
@dataclass(frozen=True)
class Moments(Loss):
    """Distance of the latents' covariance from the identity: DIP-VAE (Kumar et al. 2018).

    The paper is arXiv:1711.00848.
    """

    off_diagonal: float = 10.0
    """Weight of the squared covariances."""
    diagonal: float = 100.0
    """Weight of the squared distances of the variances from 1."""
    of: Literal["mean", "sample"] = "mean"
    """Covariance of the posterior means (DIP-VAE-I), or of the samples (DIP-VAE-II)."""
    needs = GaussianPosterior

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where a weight is negative or the version unknown."""
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
            # Law of total variance: Cov[z] = Cov[mean] + E[diagonal posterior covariance].
            covariance = covariance + torch.diag(_log_variance(batch.posterior).exp().mean(0))
        diagonal = covariance.diagonal()
        off_diagonal: Tensor = covariance.square().sum() - diagonal.square().sum()
        return self.off_diagonal * off_diagonal + self.diagonal * (diagonal - 1).square().sum()
