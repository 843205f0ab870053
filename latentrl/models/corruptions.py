"""Corruptions of training inputs; the target stays clean (Vincent et al. 2008)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from latentrl.models.preprocessing import LUMA
from latentrl.utils.registry import Registry


class Corruption(Protocol):
    """Damages a batch of scaled observations."""

    colour_only: bool
    """Whether it needs images of three channels."""

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a damaged copy of ``x (B, *shape)``; all randomness comes from ``generator``."""


CORRUPTIONS: Registry[Corruption] = Registry("corruption")

REMOVED = -0.0
"""What removed values become: zero to a network, and yet not the zero of a black pixel."""


def _uniform(shape: torch.Size | tuple[int, ...], x: Tensor, generator: Generator) -> Tensor:
    return torch.rand(shape, device=x.device, generator=generator)


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"share lies between 0 and 1, got {share}")


@CORRUPTIONS.register("gaussian_noise")
@dataclass(frozen=True)
class GaussianNoise:
    """Add normal noise of standard deviation ``std``, in scaled units."""

    std: float = 0.3
    clip: bool = False
    """Whether to clip into [0, 1], as images that were stored with their noise are."""
    colour_only = False

    def __post_init__(self) -> None:
        """Refuse a standard deviation that is not positive."""
        if not self.std > 0:
            raise ValueError(f"std is a standard deviation and must be positive, got {self.std}")

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` plus noise."""
        noisy = x + self.std * torch.randn(x.shape, device=x.device, generator=generator)
        return noisy.clamp(0, 1) if self.clip else noisy


@CORRUPTIONS.register("salt_and_pepper")
@dataclass(frozen=True)
class SaltAndPepper:
    """Set a share of the values to 0 or 1, each with even odds."""

    share: float = 0.2
    colour_only = False

    def __post_init__(self) -> None:
        """Check the share."""
        _check_share(self.share)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a copy of ``x`` with the chosen values replaced."""
        draw = _uniform(x.shape, x, generator)
        extremes = (draw < self.share / 2).to(x.dtype)
        return torch.where(draw < self.share, extremes, x)


@CORRUPTIONS.register("masking")
@dataclass(frozen=True)
class Masking:
    """Set a share of the positions to 0, all channels of a pixel together."""

    share: float = 0.5
    colour_only = False

    def __post_init__(self) -> None:
        """Check the share."""
        _check_share(self.share)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a copy of ``x`` with the chosen positions zeroed."""
        shape = (x.shape[0], 1, *x.shape[2:]) if x.ndim == 4 else x.shape
        return torch.where(_uniform(shape, x, generator) < self.share, REMOVED, x)


@CORRUPTIONS.register("cutout")
@dataclass(frozen=True)
class Cutout:
    """Set one box of each observation to 0: a rectangle of an image, a stretch of a vector or
    sequence.

    Each side is a random share of the observation's, and the box lies anywhere inside it.
    """

    smallest: float = 0.2
    """Least side of the box, as a share of the observation's side."""
    largest: float = 0.5
    """Greatest side."""
    colour_only = False

    def __post_init__(self) -> None:
        """Check the shares."""
        if not 0 < self.smallest <= self.largest < 1:
            raise ValueError(
                f"cutout needs 0 < smallest <= largest < 1, got smallest={self.smallest}, largest={self.largest}"
            )

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a copy of ``x`` with one hole in each observation."""
        axes = (2, 3) if x.ndim == 4 else (1,)
        inside = torch.ones((), dtype=torch.bool, device=x.device)
        for axis in axes:
            inside = inside & self._stretch(x, axis, generator)
        return torch.where(inside, REMOVED, x)

    def _stretch(self, x: Tensor, axis: int, generator: Generator) -> Tensor:
        size = x.shape[axis]
        draw = _uniform((2, len(x)), x, generator)
        length = (
            ((self.smallest + (self.largest - self.smallest) * draw[0]) * size).round().clamp(min=1)
        )
        first = (draw[1] * (size - length + 1)).floor()
        shape = [len(x)] + [1] * (x.ndim - 1)
        place = torch.arange(size, device=x.device).view(
            [size if i == axis else 1 for i in range(x.ndim)]
        )
        return (place >= first.view(shape)) & (place < (first + length).view(shape))


@CORRUPTIONS.register("blur")
@dataclass(frozen=True)
class Blur:
    """Convolve with a normal kernel of standard deviation ``sigma``, in pixels, steps or values."""

    sigma: float = 1.5
    colour_only = False

    def __post_init__(self) -> None:
        """Refuse a width that is not positive."""
        if not self.sigma > 0:
            raise ValueError(
                f"sigma is a standard deviation and must be positive, got {self.sigma}"
            )

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a smoothed copy of ``x``; edges repeat their last value."""
        axes = (2, 3) if x.ndim == 4 else (1,)
        for axis in axes:
            x = self._along(x, axis)
        return x

    def _along(self, x: Tensor, axis: int) -> Tensor:
        radius = max(1, math.ceil(3 * self.sigma))
        offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
        kernel = torch.softmax(-0.5 * (offsets / self.sigma).square(), 0)
        rows = x.transpose(axis, -1)
        padded = F.pad(rows.reshape(-1, 1, rows.shape[-1]), (radius, radius), mode="replicate")
        return F.conv1d(padded, kernel.view(1, 1, -1)).view(rows.shape).transpose(axis, -1)


@CORRUPTIONS.register("greyscale")
@dataclass(frozen=True)
class Greyscale:
    """Replace the three channels by their luma, so that the decoder learns to colour (ITU-R
    BT.601).
    """

    colour_only = True

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a grey copy of ``x``, still of three channels."""
        luma = (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return luma.expand_as(x).contiguous()
