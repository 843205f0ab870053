"""Bodies: pairs of encoder and decoder networks, chosen from the observation's shape."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from latentrl.registry import Registry

Shape = tuple[int, ...]


class Body(Protocol):
    """Makes the two halves of a network for inputs of ``shape``, ``(C, H, W)`` or ``(D,)``."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a module that maps ``(B, *shape)`` to ``(B, outputs)``."""

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return a module that maps ``(B, latent_dim)`` to ``(B, *shape)``."""


BODIES: Registry[Body] = Registry("body")


def default_body(shape: Shape) -> dict[str, str]:
    """Return the spec of the body for inputs of ``shape``: convolutions for images, else an MLP."""
    return {"name": "conv" if len(shape) == 3 else "mlp"}


@BODIES.register("conv")
@dataclass(frozen=True)
class Conv:
    """Strided convolutions that halve the image down to about 4 pixels a side.

    The default sizes are those of Locatello et al. 2019 (https://arxiv.org/abs/1811.12359).
    """

    channels: Sequence[int] = (32, 32, 64, 64)
    hidden: int = 256

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return kernel-4 stride-2 convolutions and one hidden layer."""
        sizes, widths = self._plan(shape)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
        flat = widths[-1] * math.prod(sizes[-1])
        return nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(flat, self.hidden), nn.ReLU(), nn.Linear(self.hidden, outputs)
        )

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the mirror image of ``encoder``; odd sizes come back exactly."""
        sizes, widths = self._plan(shape)
        layers: list[nn.Module] = []
        for small, large, before, after in _upwards(sizes, widths):
            padding = (large[0] - 2 * small[0], large[1] - 2 * small[1])
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=padding), nn.ReLU()]
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
            raise ValueError(f"body 'conv' is for images (C, H, W), not inputs of shape {shape}; use 'mlp'")
        channels, height, width = shape
        depth = max(1, int(math.log2(min(height, width) / 4)))
        sizes = [(height >> level, width >> level) for level in range(depth + 1)]
        widths = [self.channels[min(level, len(self.channels) - 1)] for level in range(depth)]
        return sizes, [channels, *widths]


def _upwards(
    sizes: list[tuple[int, int]], widths: list[int]
) -> Iterator[tuple[tuple[int, int], tuple[int, int], int, int]]:
    return zip(sizes[:0:-1], sizes[-2::-1], widths[:0:-1], widths[-2::-1], strict=True)


@BODIES.register("mlp")
@dataclass(frozen=True)
class MLP:
    """Fully connected layers with ReLU."""

    hidden: Sequence[int] = (256, 256)

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the layers from the flattened input to ``outputs``."""
        return nn.Sequential(nn.Flatten(), _dense((math.prod(shape), *self.hidden, outputs)))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the layers from the code to an output of ``shape``."""
        return nn.Sequential(_dense((latent_dim, *reversed(self.hidden), math.prod(shape))), nn.Unflatten(1, shape))


@BODIES.register("linear")
@dataclass(frozen=True)
class Linear:
    """One affine map each way: what PCA is, and what a linear autoencoder learns."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the affine map from the flattened input."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the affine map to an output of ``shape``."""
        return nn.Sequential(nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, shape))


def _dense(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
