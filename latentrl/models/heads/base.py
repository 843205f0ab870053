"""What a head provides, the posterior that it returns, and their registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from latentrl.utils.registry import Registry


@dataclass(frozen=True)
class Posterior:
    """A deterministic latent for each observation of a batch."""

    mean: Tensor
    """The deterministic latent ``(B, latent_dim)``, which ``encode`` returns."""
    kind: ClassVar[str] = "any latent"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the latent that training decodes.

        Args:
            noise: standard normal ``(B, latent_dim)``; a deterministic latent ignores it.
        """
        return self.mean

    def kl(self) -> Tensor:
        """Return KL(q(z|x) || N(0, I)) of each dimension in nats, ``(B, latent_dim)``.

        Raises:
            TypeError: the latent is not a distribution.
        """
        raise TypeError("only a Gaussian posterior has a KL divergence; use head 'gaussian'")


class Head(Protocol):
    """Maps the encoder's outputs to a posterior.

    A new head subclasses this, implements ``__call__``, and is registered under a name. A head with
    weights is a ``torch.nn.Module`` as well.
    """

    posterior: ClassVar[type[Posterior]] = Posterior
    """Class of the posterior."""
    outputs_per_latent: ClassVar[int] = 1
    """Encoder outputs per latent dimension."""

    @property
    def unit_columns(self) -> bool:
        """Whether the columns of the decoder's first layer are held at unit length."""
        return False

    @property
    def level_width(self) -> float | None:
        """Grid width that keeps all levels of a quantised latent apart; None without levels."""
        return None

    def __call__(self, outputs: Tensor) -> Posterior:
        """Return the posterior of outputs ``(B, outputs_per_latent * latent_dim)``."""


HEADS: Registry[Head] = Registry("head")
"""Heads by name."""
