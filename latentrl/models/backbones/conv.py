"""Convolutional backbone for images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from latentrl.models.backbones.base import BACKBONES, Backbone, Shape, default_backbone
from latentrl.utils.decoding import Items, Units


@BACKBONES.register("conv")
@dataclass(frozen=True)
class Conv(Backbone):
    """Strided convolutions that halve the image down to about 4 pixels a side.

    The default sizes are those of Locatello et al. 2019 (https://arxiv.org/abs/1811.12359).
    """

    channels: Annotated[Sequence[Units], Items(1, 100)] = (32, 32, 64, 64)
    """Channels after each convolution; the last repeats where an image needs more of them."""
    hidden: Units = 256
    """Units of the hidden layer between the convolutions and the latent."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return convolutions of kernel 4 and stride 2, and one hidden layer."""
        sizes, widths = self._plan(shape)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
        flat = widths[-1] * math.prod(sizes[-1])
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(flat, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, outputs),
        )

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the layers of ``encoder`` in reverse; odd sizes are restored exactly."""
        sizes, widths = self._plan(shape)
        layers: list[nn.Module] = []
        for small, large, before, after in _upwards(sizes, widths):
            # A stride of 2 maps sizes 2n and 2n + 1 to the same n; the output padding adds the
            # row or column that the encoder dropped.
            padding = (large[0] - 2 * small[0], large[1] - 2 * small[1])
            deconvolution = nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=padding)
            layers += [deconvolution, nn.ReLU()]
        flat = widths[-1] * math.prod(sizes[-1])
        return nn.Sequential(
            nn.Linear(latent_dim, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, flat),
            nn.ReLU(),
            nn.Unflatten(1, (widths[-1], *sizes[-1])),
            *layers[:-1],
        )

    def _plan(self, shape: Shape) -> tuple[list[tuple[int, int]], list[int]]:
        if len(shape) != 3:
            raise ValueError(
                f"backbone 'conv' is for images (C, H, W), not inputs of shape {shape}; "
                f"use '{default_backbone(shape)['name']}'"
            )
        channels, height, width = shape
        depth = max(1, int(math.log2(min(height, width) / 4)))
        sizes = [(height >> level, width >> level) for level in range(depth + 1)]
        widths = [self.channels[min(level, len(self.channels) - 1)] for level in range(depth)]
        return sizes, [channels, *widths]


def _upwards(
    sizes: list[tuple[int, int]], widths: list[int]
) -> Iterator[tuple[tuple[int, int], tuple[int, int], int, int]]:
    return zip(sizes[:0:-1], sizes[-2::-1], widths[:0:-1], widths[-2::-1], strict=True)
