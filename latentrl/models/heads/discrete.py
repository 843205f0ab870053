"""Heads whose latents take few values: bits, the levels of a grid, the values of a codebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from latentrl.models.heads.base import HEADS, Head, Posterior
from latentrl.utils.decoding import Between

Levels = Annotated[int, Between(2, 2**16)]
"""Number of values that a latent dimension can take."""


@dataclass(frozen=True)
class BinaryPosterior(Posterior):
    """Bits, 0.0 or 1.0; ``mean`` carries the gradient of their probabilities."""

    logits: Tensor
    """Log odds of each bit ``(B, latent_dim)``."""
    noise: float
    """Standard deviation of the noise on the logits in training; 0 decodes the bits themselves."""
    kind: ClassVar[str] = "a binary posterior (head 'binary')"

    def sample(self, noise: Tensor) -> Tensor:
        """Return the bits, or the probabilities of noisy logits."""
        # A bit passes through the noise only where its logit is large, so that training drives the
        # logits to saturate (Salakhutdinov & Hinton 2009).
        return (self.logits + self.noise * noise).sigmoid() if self.noise else self.mean


@dataclass(frozen=True)
class CodebookPosterior(Posterior):
    """Values of a codebook; ``mean`` carries the gradient of the encoder's outputs."""

    outputs: Tensor
    """The encoder's outputs ``(B, latent_dim)``."""
    values: Tensor
    """The value nearest to each output ``(B, latent_dim)``, with the gradient of the codebook."""
    kind: ClassVar[str] = "a codebook posterior (head 'codebook')"


def straight_through(values: Tensor, continuous: Tensor) -> Tensor:
    """Return ``values``, with the gradient of ``continuous`` (Bengio et al. 2013, arXiv:1308.3432).

    Args:
        values: discrete latents ``(B, latent_dim)``.
        continuous: what they were computed from, of the same shape.
    """
    # The added difference is 0, to the last bit: equal levels remain equal numbers.
    return values.detach() + (continuous - continuous.detach())


@HEADS.register("binary")
@dataclass(frozen=True)
class Binary(Head):
    """Bits: semantic hashing (Salakhutdinov & Hinton 2009, Int. J. Approximate Reasoning 50).

    With ``noise`` 0 the bits are decoded and the gradient passes straight through the threshold;
    else the probabilities of noisy logits are decoded.
    """

    noise: float = 0.0
    """Standard deviation of the noise on the logits in training."""
    posterior = BinaryPosterior
    level_width = 0.5

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the noise is negative."""
        if self.noise < 0:
            raise ValueError(
                f"noise is a standard deviation and cannot be negative, got {self.noise}"
            )

    def __call__(self, outputs: Tensor) -> BinaryPosterior:
        """Threshold the logits at 0."""
        logits = outputs.float()
        bits = (logits > 0).to(logits.dtype)
        return BinaryPosterior(straight_through(bits, logits.sigmoid()), logits, self.noise)


@HEADS.register("fsq")
@dataclass(frozen=True)
class FSQ(Head):
    """Finite scalar quantisation (Mentzer et al. 2023, arXiv:2309.15505).

    Each latent is rounded to one of ``levels`` numbers evenly spaced from -1 to 1, as in Tripod
    (Hsu et al. 2024, arXiv:2404.10282). The gradient is that of the hyperbolic tangent.
    """

    levels: Levels = 12
    """Number of levels of each dimension."""

    @property
    def level_width(self) -> float:
        """Half the distance between two levels: multiples of it lie on both ends."""
        return 1 / (self.levels - 1)

    def __call__(self, outputs: Tensor) -> Posterior:
        """Round the hyperbolic tangent of the outputs."""
        bounded = outputs.float().tanh()
        steps = self.levels - 1
        levels = 2 * ((bounded + 1) / 2 * steps).round() / steps - 1
        return Posterior(straight_through(levels, bounded))


@HEADS.register("codebook")
class Codebook(nn.Module, Head):
    """Learned values of each dimension: latent quantisation (Hsu et al. 2023, arXiv:2305.18378).

    The gradient passes straight through to the encoder. The losses "quantise" and "commit" pull
    values and outputs towards each other; without the first, the values stay as they are.
    """

    posterior = CodebookPosterior

    def __init__(self, channels: int = 1, values: Levels = 10) -> None:
        """Space the values evenly from -1/2 to 1/2.

        Args:
            channels: number of codebooks: one per latent dimension, or on a grid one per channel,
                which all cells share.
            values: number of values in each.
        """
        super().__init__()
        self.values = nn.Parameter(torch.linspace(-0.5, 0.5, values).repeat(channels, 1))

    @property
    def level_width(self) -> float:
        """Half the smallest distance between two values of a codebook."""
        gaps = self.values.detach().sort(1).values.diff(dim=1)
        # Two values that have met are one level.
        apart = gaps[gaps > 0]
        return float(apart.min()) / 2 if len(apart) else 1.0

    def forward(self, outputs: Tensor) -> CodebookPosterior:
        """Replace each output by the nearest value of its codebook."""
        outputs = outputs.float()
        channels = len(self.values)
        cells = outputs.reshape(-1, channels, outputs.shape[1] // channels, 1)
        index = (cells - self.values[:, None]).abs().argmin(3, keepdim=True)
        values = self.values[None, :, None].expand(*cells.shape[:3], -1)
        nearest = values.gather(3, index).flatten(1)
        return CodebookPosterior(straight_through(nearest, outputs), outputs, nearest)
