"""What every penalty is given, and what it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from latentrl.models.heads import Head, Posterior
from latentrl.utils.registry import Registry


@dataclass(frozen=True)
class Batch:
    """What a penalty may look at."""

    x: Tensor
    """NormalizedBonus clean observations ``(B, *shape)``: the target."""
    inputs: Tensor
    """What the encoder saw: ``x`` or a corrupted copy."""
    posterior: Posterior
    """The encoder's answer for ``inputs``."""
    z: Tensor
    """The code that the decoder got, ``(B, latent_dim)``."""
    outputs: Tensor
    """The decoder's raw outputs, float32."""
    nll: Tensor
    """-log p of each value that the reconstruction is measured in, nats, ``(B, ...)``."""
    encoder: nn.Module
    """The network before the head."""
    head: Head
    """What reads a code from the network's outputs."""
    extra_noise: Tensor
    """Standard normal ``(B, latent_dim)``, independent of all else: for terms estimated by
    sampling."""
    step: int
    """Gradient steps done so far."""


class Loss(Protocol):
    """One term of the loss; a ``torch.nn.Module`` where it has weights of its own."""

    name: str
    """The term's name in the breakdown of the loss."""

    @property
    def allows_overcomplete(self) -> bool:
        """Whether it keeps a code that is larger than the observation from being a copy."""

    @property
    def needs(self) -> type[Posterior]:
        """The kind of code that it is defined for; ``Posterior`` is any."""

    def __call__(self, batch: Batch) -> Tensor:
        """Return the term, a scalar in nats: the mean over the batch."""


LOSSES: Registry[Loss] = Registry("loss")


def check_weight(name: str, weight: float) -> None:
    """Raise ``ValueError`` where a weight is negative."""
    if weight < 0:
        raise ValueError(f"{name} cannot be negative, got {weight}")
