"""Backbones whose latents are laid out on a grid of cells, one per image region."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from latentrl.models.backbones.base import BACKBONES, Backbone, Shape
from latentrl.utils.decoding import Units


@BACKBONES.register("patches")
@dataclass(frozen=True)
class Patches(Backbone):
    """One small network applied to each patch, as the embedding of a ViT (arXiv:2010.11929).

    Each cell of the latent depends on one patch alone, so that a small object is never averaged
    away over the image: for tiles, text and sprites on a grid. Latents ``(B, channels * cells)``
    are laid out channels first, ``(B, channels, rows, columns)`` flattened.
    """

    size: Units = 8
    """Side of a patch in pixels."""
    hidden: Units = 64
    """Units of each hidden layer."""

    # GELU (arXiv:1606.08415), not ReLU: with a few channels per patch a dead unit is a lost one.

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return two hidden layers per patch."""
        channels, _ = self._plan(shape, outputs)
        return nn.Sequential(
            nn.Conv2d(shape[0], self.hidden, self.size, self.size),
            nn.GELU(),
            nn.Conv2d(self.hidden, self.hidden, 1),
            nn.GELU(),
            nn.Conv2d(self.hidden, channels, 1),
            nn.Flatten(),
        )

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the layers of ``encoder`` in reverse."""
        channels, sides = self._plan(shape, latent_dim)
        return nn.Sequential(
            nn.Unflatten(1, (channels, *sides)),
            nn.Conv2d(channels, self.hidden, 1),
            nn.GELU(),
            nn.Conv2d(self.hidden, self.hidden, 1),
            nn.GELU(),
            nn.ConvTranspose2d(self.hidden, shape[0], self.size, self.size),
        )

    def grid(self, shape: Shape) -> tuple[int, int]:
        """Return rows and columns of patches."""
        return shape[1] // self.size, shape[2] // self.size

    def _plan(self, shape: Shape, values: int) -> tuple[int, tuple[int, int]]:
        if len(shape) != 3 or shape[1] % self.size or shape[2] % self.size:
            raise ValueError(
                f"backbone 'patches' needs images (C, H, W) whose sides are multiples of its size "
                f"{self.size}, not inputs of shape {shape}; set size to a divisor of both sides"
            )
        cells = math.prod(self.grid(shape))
        if values % cells:
            raise ValueError(
                f"backbone 'patches' cuts these images into {cells} patches and cannot divide "
                f"{values} values evenly among them: use a latent_dim that is a multiple of {cells}"
            )
        return values // cells, self.grid(shape)
