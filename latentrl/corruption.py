"""Corruptions of training inputs; the target stays clean (Vincent et al. 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from latentrl.registry import Registry


class Corruption(Protocol):
    """Damages a batch of scaled observations."""

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a damaged copy of ``x (B, *shape)``; all randomness comes from ``generator``."""


CORRUPTIONS: Registry[Corruption] = Registry("corruption")


def _uniform(shape: torch.Size | tuple[int, ...], x: Tensor, generator: Generator) -> Tensor:
    return torch.rand(shape, device=x.device, generator=generator)


@CORRUPTIONS.register("gaussian_noise")
@dataclass(frozen=True)
class GaussianNoise:
    """Add normal noise of standard deviation ``std``, in scaled units."""

    std: float = 0.3

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return ``x`` plus noise, not clipped."""
        return x + self.std * torch.randn(x.shape, device=x.device, generator=generator)


@CORRUPTIONS.register("salt_and_pepper")
@dataclass(frozen=True)
class SaltAndPepper:
    """Set a share of the values to 0 or 1, each with even odds."""

    share: float = 0.2

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

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return a copy of ``x`` with the chosen positions zeroed."""
        shape = (x.shape[0], 1, *x.shape[2:]) if x.ndim == 4 else x.shape
        return x * (_uniform(shape, x, generator) >= self.share)
