"""What a loss term receives, what it must implement, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from latentrl.models.heads import Head, Posterior
from latentrl.utils.registry import Registry


@dataclass(frozen=True)
class Batch:
    """The tensors of one forward pass that loss terms are computed from."""

    x: Tensor
    """Scaled clean observations ``(B, *shape)``: the target."""
    inputs: Tensor
    """The encoder's inputs ``(B, *shape)``: ``x`` or a corrupted copy."""
    mask: Tensor | None
    """True where corruptions removed a value, bool that broadcasts to ``x``; None for nowhere."""
    posterior: Posterior
    """The posterior of ``inputs``."""
    z: Tensor
    """The decoded latents ``(B, latent_dim)``."""
    outputs: Tensor
    """The decoder's raw outputs, float32."""
    nll: Tensor
    """-log p of each value of the reconstruction in nats, ``(B, ...)``."""
    encoder: nn.Module
    """The network before the head."""
    head: Head
    """The map from the encoder's outputs to the posterior."""
    extra_noise: Tensor
    """Standard normal ``(B, latent_dim)``, independent of ``z``, for terms that sample."""
    step: int
    """Gradient steps done."""
    previous: Tensor | None = None
    """The scaled observations one step earlier in their episodes ``(B, *shape)``; the first one of
    an episode is its own. None where no term needs them."""
    cells: int = 1
    """Cells of the latent grid; 1 of a plain vector."""


class Loss(ABC):
    """One term of the loss; a ``torch.nn.Module`` as well where it has weights of its own.

    A new term implements ``__call__`` and is registered under the name that it has in configs and
    logs.
    """

    needs: ClassVar[type[Posterior]] = Posterior
    """Kind of posterior that the term is defined for; ``Posterior`` is any."""
    needs_previous: ClassVar[bool] = False
    """Whether the term uses ``Batch.previous``."""
    weighs_pixels: ClassVar[bool] = False
    """Whether the term needs a reconstruction error of single pixels, which that of features is
    not."""

    @property
    def allows_overcomplete(self) -> bool:
        """Whether the term keeps a latent larger than the observation from copying it."""
        return False

    @abstractmethod
    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted term, a scalar in nats: the mean over the batch."""


LOSSES: Registry[Loss] = Registry("loss")
"""Losses by name."""


def check_weight(name: str, weight: float) -> None:
    """Raise ``ValueError`` where a weight is negative."""
    if weight < 0:
        raise ValueError(f"{name} cannot be negative, got {weight}")


def check_term(name: str, term: Any) -> Tensor:
    """Return what the loss ``name`` returned.

    Raises:
        TypeError: it is no tensor.
        ValueError: it is no scalar.
    """
    if not isinstance(term, Tensor):
        raise TypeError(f"loss {name!r} must return a scalar tensor, got {type(term).__name__}")
    if term.ndim:
        raise ValueError(
            f"loss {name!r} must return a scalar, the mean over the batch, got shape "
            f"{tuple(term.shape)}"
        )
    return term
