"""Penalties on single codes: sparse, insensitive, binary, predictable."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from latentrl.models.heads import BinaryPosterior, Posterior
from latentrl.models.losses.base import LOSSES, Batch, check_weight

Prior = Literal["l1", "l2", "kl"]
PRIORS = get_args(Prior)


@LOSSES.register("sparsity")
@dataclass(frozen=True)
class Sparsity:
    """weight * sum of |z| ("l1", a Laplacian prior), of z^2 ("l2", a Gaussian one), or of KL(rho ||
    mean activation).

    "kl" is the sparsity of Ng 2011 (CS294A lecture notes); it needs codes in [0, 1], which a head
    with activation "sigmoid" gives.
    """

    weight: float = 1.0
    prior: Prior = "l1"
    target: float = 0.05
    """rho: the mean activation that "kl" asks of each unit."""
    name = "sparsity"
    needs = Posterior

    def __post_init__(self) -> None:
        """Check the values."""
        check_weight("weight", self.weight)
        if self.prior not in PRIORS:
            raise ValueError(f"unknown prior {self.prior!r}; known: {', '.join(PRIORS)}")
        if not 0 < self.target < 1:
            raise ValueError(f"target is a mean activation between 0 and 1, got {self.target}")

    @property
    def allows_overcomplete(self) -> bool:
        """Whether the weight is more than 0."""
        return self.weight > 0

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted penalty of the codes that were decoded."""
        if self.prior == "l1":
            return self.weight * batch.z.abs().sum(1).mean()
        if self.prior == "l2":
            return self.weight * batch.z.square().sum(1).mean()
        return self.weight * self._divergence(batch.z.float().mean(0)).sum()

    def _divergence(self, activation: Tensor) -> Tensor:
        activation = activation.clamp(1e-6, 1 - 1e-6)
        rho = activation.new_tensor(self.target)
        return rho * (rho / activation).log() + (1 - rho) * ((1 - rho) / (1 - activation)).log()


@LOSSES.register("contraction")
@dataclass(frozen=True)
class Contraction:
    """weight * squared Frobenius norm of the code's Jacobian (Rifai et al. 2011, ICML).

    Exact where the encoder knows its Jacobian in closed form, as backbone "sigmoid" does. Else one
    random direction for each observation: E |v' J|^2 = |J|^2 for standard normal v (Hutchinson
    1989).
    """

    weight: float = 0.1
    name = "contraction"
    needs = Posterior

    def __post_init__(self) -> None:
        """Refuse a negative weight."""
        check_weight("weight", self.weight)

    @property
    def allows_overcomplete(self) -> bool:
        """Whether the weight is more than 0."""
        return self.weight > 0

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted norm at the inputs."""
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return self.weight * squared_jacobian(batch).mean()


def squared_jacobian(batch: Batch) -> Tensor:
    """Return the squared Frobenius norm of d mean / d inputs for each observation, or its estimate,
    ``(B,)``.
    """
    exact = getattr(batch.encoder, "squared_jacobian", None)
    if exact is not None and getattr(batch.head, "activation", None) == "identity":
        norms: Tensor = exact(batch.inputs)[:, : batch.z.shape[1]].sum(1)
        return norms
    training = torch.is_grad_enabled()
    with torch.enable_grad(), _twice_differentiable(batch.inputs.device):
        x = batch.inputs.detach().requires_grad_()
        mean = batch.head(batch.encoder(x)).mean
        (row,) = torch.autograd.grad(mean, x, batch.extra_noise, create_graph=training)
    return row.flatten(1).square().sum(1)


def _twice_differentiable(device: torch.device) -> AbstractContextManager[None]:
    # cuDNN's recurrent layers have no second derivative.
    return torch.backends.cudnn.flags(enabled=False) if device.type == "cuda" else nullcontext()


@LOSSES.register("saturation")
@dataclass(frozen=True)
class Saturation:
    """weight * sum of 4 p (1 - p): pushes the probability of each bit to 0 or 1."""

    weight: float = 0.1
    name = "saturation"
    needs = BinaryPosterior
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Refuse a negative weight."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted indecision of the bits."""
        assert isinstance(batch.posterior, BinaryPosterior)
        probability = batch.posterior.logits.sigmoid()
        return self.weight * (4 * probability * (1 - probability)).sum(1).mean()


@LOSSES.register("prediction")
@dataclass(frozen=True)
class Prediction:
    """weight * |z - f(x)|^2: the encoder learns to predict the code that was decoded.

    For codes found by inference (Kavukcuoglu et al. 2008, arXiv:1010.3467); the decoded code is a
    constant.
    """

    weight: float = 1.0
    name = "prediction"
    needs = Posterior
    allows_overcomplete = False

    def __post_init__(self) -> None:
        """Refuse a negative weight."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted squared distance."""
        return self.weight * (batch.z.detach() - batch.posterior.mean).square().sum(1).mean()
