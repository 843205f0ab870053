"""Terms on single latents: sparse, contractive, binary, quantised, predictable."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from latentrl.models.heads import BinaryPosterior, CodebookPosterior
from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight

Prior = Literal["l1", "l2", "kl"]
PRIORS = get_args(Prior)


@LOSSES.register("sparsity")
@dataclass(frozen=True)
class Sparsity(Loss):
    """weight * sum of |z| ("l1"), of z^2 ("l2"), or of KL(target || mean activation) ("kl").

    "l1" is a Laplacian prior and "l2" a Gaussian one. "kl" is the sparsity of Ng 2011 (CS294A
    lecture notes); it needs latents in [0, 1], which a head with activation "sigmoid" gives.
    """

    weight: float = 1.0
    """Weight of the penalty in nats."""
    prior: Prior = "l1"
    """l1, l2 or kl."""
    target: float = 0.05
    """Mean activation of each unit at which "kl" is 0, the rho of Ng."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
        check_weight("weight", self.weight)
        if self.prior not in PRIORS:
            raise ValueError(f"unknown prior {self.prior!r}; known: {', '.join(PRIORS)}")
        if not 0 < self.target < 1:
            raise ValueError(f"target is a mean activation between 0 and 1, got {self.target}")

    @property
    def allows_overcomplete(self) -> bool:
        """Whether the weight is positive."""
        return self.weight > 0

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted penalty on the decoded latents."""
        if self.prior == "l1":
            return self.weight * batch.z.abs().sum(1).mean()
        if self.prior == "l2":
            return self.weight * batch.z.square().sum(1).mean()
        return self.weight * self._divergence(batch.z.float().mean(0)).sum()

    def _divergence(self, activation: Tensor) -> Tensor:
        # Saturated sigmoids are exactly 0 or 1 in float32, where the logarithms diverge.
        activation = activation.clamp(1e-6, 1 - 1e-6)
        rho = activation.new_tensor(self.target)
        return rho * (rho / activation).log() + (1 - rho) * ((1 - rho) / (1 - activation)).log()


@LOSSES.register("contraction")
@dataclass(frozen=True)
class Contraction(Loss):
    """weight * squared Frobenius norm of the latent's Jacobian (Rifai et al. 2011, ICML).

    Exact where the encoder has a closed form, as backbone "sigmoid" has; else estimated from one
    random direction per observation (Hutchinson 1989).
    """

    weight: float = 0.1
    """Weight of the squared norm."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    @property
    def allows_overcomplete(self) -> bool:
        """Whether the weight is positive."""
        return self.weight > 0

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted norm at the inputs."""
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return self.weight * squared_jacobian(batch).mean()


def squared_jacobian(batch: Batch) -> Tensor:
    """Return |d mean / d inputs|^2 (Frobenius) per observation, or its estimate, ``(B,)``."""
    exact = getattr(batch.encoder, "squared_jacobian", None)
    if exact is not None and getattr(batch.head, "activation", None) == "identity":
        norms: Tensor = exact(batch.inputs)[:, : batch.z.shape[1]].sum(1)
        return norms
    # E |v' J|^2 = |J|^2 for v ~ N(0, I): one backward pass in place of one per latent dimension.
    # The graph is kept for the gradient of the gradient, in training alone.
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
class Saturation(Loss):
    """weight * sum of 4 p (1 - p): pushes the probability of each bit to 0 or 1."""

    weight: float = 0.1
    """Weight of a bit of probability 1/2, where the term is largest."""
    needs = BinaryPosterior

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted sum."""
        assert isinstance(batch.posterior, BinaryPosterior)
        probability = batch.posterior.logits.sigmoid()
        return self.weight * (4 * probability * (1 - probability)).sum(1).mean()


@dataclass(frozen=True)
class CodebookDistance(Loss):
    """Base class of the two terms on the distance between outputs and codebook.

    The paper averages the nll over the D values of an observation, and the squares over the
    dimensions; D times both are nats per observation. Its weight is 0.01 beside a Bernoulli nll. A
    Gaussian one of sigma 0.1 weighs errors by 1 / sigma^2 = 100, and so the weight is 1.
    """

    weight: float = 1.0
    """Weight of the squared distance, mean over the dimensions, per value of an observation."""
    needs = CodebookPosterior

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    def distance(self, batch: Batch, outputs: Tensor, values: Tensor) -> Tensor:
        """Return the weighted squared distance of ``(B, latent_dim)`` tensors, a scalar."""
        return self.weight * batch.x[0].numel() * (outputs - values).square().mean()


@LOSSES.register("quantise")
@dataclass(frozen=True)
class Quantise(CodebookDistance):
    """weight * D * mean of (v - f(x))^2 with f(x) constant: moves the values of a codebook.

    Hsu et al. 2023 (arXiv:2305.18378), after van den Oord et al. 2017 (arXiv:1711.00937).
    """

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted squared distance of the values from the outputs."""
        assert isinstance(batch.posterior, CodebookPosterior)
        return self.distance(batch, batch.posterior.outputs.detach(), batch.posterior.values)


@LOSSES.register("commit")
@dataclass(frozen=True)
class Commit(CodebookDistance):
    """weight * D * mean of (v - f(x))^2 with v constant: keeps outputs near the codebook.

    The papers are those of ``Quantise``.
    """

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted squared distance of the outputs from the values."""
        assert isinstance(batch.posterior, CodebookPosterior)
        return self.distance(batch, batch.posterior.outputs, batch.posterior.values.detach())


@LOSSES.register("prediction")
@dataclass(frozen=True)
class Prediction(Loss):
    """weight * |z - encoder's latent|^2: trains the encoder towards latents found by inference.

    As in predictive sparse decomposition (Kavukcuoglu et al. 2008, arXiv:1010.3467); ``z`` is
    constant.
    """

    weight: float = 1.0
    """Weight of the squared distance."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the weight is negative."""
        check_weight("weight", self.weight)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted squared distance."""
        return self.weight * (batch.z.detach() - batch.posterior.mean).square().sum(1).mean()
