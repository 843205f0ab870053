"""Backbones whose latents are laid out on a grid of cells, one per image region."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from latentrl.models.backbones.base import BACKBONES, Backbone, Offset, Shape
from latentrl.models.backbones.conv import halvings, upwards
from latentrl.utils.decoding import Between, Items, Units

LEAST_CELLS = 7
"""Least number of cells along the shorter side of an image, where the image is that large."""


@BACKBONES.register("spatial")
@dataclass(frozen=True)
class Spatial(Backbone):
    """Convolutions with overlapping receptive fields down to a grid of cells, for any image.

    There is no layer between the grid and the latent, so that a small object keeps values of its
    own: images of 64 by 64 pixels have 8 by 8 cells. Latents ``(B, channels * cells)`` are laid out
    channels first, ``(B, channels, rows, columns)`` flattened. Encoder and decoder work on the
    difference from the mean image of the data, so that what never changes needs no weights.
    """

    channels: Annotated[Sequence[Units], Items(1, 100)] = (16, 32, 64)
    """Channels after each convolution; the last repeats where an image needs more of them."""
    blocks: Annotated[int, Between(0, 100)] = 1
    """Residual blocks on the grid, each way."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return convolutions of kernel 4 and stride 2, residual blocks, and one map per cell."""
        _, widths = self._plan(shape)
        layers: list[nn.Module] = [Offset(shape)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.GELU()]
        blocks = [ResidualBlock(widths[-1]) for _ in range(self.blocks)]
        last = nn.Conv2d(widths[-1], self._per_cell(shape, outputs), 1)
        return nn.Sequential(*layers[:-1], *blocks, nn.GELU(), last, nn.Flatten())

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the layers of ``encoder`` in reverse; odd sizes are restored exactly."""
        sizes, widths = self._plan(shape)
        channels = self._per_cell(shape, latent_dim)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (channels, *sizes[-1])),
            nn.Conv2d(channels, widths[-1], 3, padding=1),
            *(ResidualBlock(widths[-1]) for _ in range(self.blocks)),
            nn.GELU(),
        ]
        layers += upwards(sizes, widths, nn.GELU)
        return nn.Sequential(*layers[:-1], Offset(shape))

    def grid(self, shape: Shape) -> tuple[int, int]:
        """Return rows and columns of cells."""
        return self._plan(shape)[0][-1]

    def _plan(self, shape: Shape) -> tuple[list[tuple[int, int]], list[int]]:
        if len(shape) != 3:
            raise ValueError(
                f"backbone 'spatial' is for images (C, H, W), not inputs of shape {shape}"
            )
        depth = max(1, int(math.log2(min(shape[1:]) / LEAST_CELLS)))
        return halvings(shape, depth, self.channels)

    def _per_cell(self, shape: Shape, values: int) -> int:
        rows, columns = self.grid(shape)
        if values % (rows * columns):
            raise ValueError(
                f"backbone 'spatial' has {rows} x {columns} cells for these images and cannot "
                f"divide {values} values evenly among them: use a latent_dim that is a multiple of "
                f"{rows * columns}"
            )
        return values // (rows * columns)


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input (He et al. 2016, arXiv:1603.05027)."""

    def __init__(self, channels: int) -> None:
        """Make convolutions of kernels 3 and 1."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, H, W)`` to the same shape."""
        added: Tensor = x + self.layers(x)
        return added


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
