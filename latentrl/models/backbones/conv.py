"""Convolutional backbone for images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
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
        layers = upwards(sizes, widths, nn.ReLU)
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
        depth = max(1, int(math.log2(min(shape[1:]) / 4)))
        return halvings(shape, depth, self.channels)


def halvings(
    shape: Shape, depth: int, channels: Sequence[int]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return heights and widths, and numbers of channels, of an image that is halved repeatedly.

    Args:
        shape: the image's ``(C, H, W)``.
        depth: number of halvings.
        channels: channels after each; the last repeats where there are more halvings.
    """
    sizes = [(shape[1] >> level, shape[2] >> level) for level in range(depth + 1)]
    widths = [channels[min(level, len(channels) - 1)] for level in range(depth)]
    return sizes, [shape[0], *widths]


def upwards(
    sizes: Sequence[tuple[int, int]], widths: Sequence[int], activation: type[nn.Module]
) -> list[nn.Module]:
    """Return layers that undo ``halvings``, each with an activation after it."""
    layers: list[nn.Module] = []
    for level in range(len(sizes) - 1, 0, -1):
        small, large = sizes[level], sizes[level - 1]
        # A stride of 2 maps sizes 2n and 2n + 1 to the same n; the output padding adds the
        # row or column that the encoder dropped.
        padding = (large[0] - 2 * small[0], large[1] - 2 * small[1])
        before, after = widths[level], widths[level - 1]
        layers += [
            nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=padding),
            activation(),
        ]
    return layers
