"""Corruptions of training inputs; the target stays clean (Vincent et al. 2008, ICML)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from latentrl.models.preprocessing import LUMA
from latentrl.utils.registry import Registry


class Corruption(ABC):
    """Corrupts a batch of scaled observations; a new one implements ``__call__``."""

    colour_only: ClassVar[bool] = False
    """Whether inputs must be images of three channels."""

    @property
    def images_only(self) -> bool:
        """Whether inputs must be images, whose scaled values lie in [0, 1]."""
        return False

    @abstractmethod
    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """Return a corrupted copy of ``x`` and the mask of the values that it removed.

        Args:
            x: scaled observations ``(B, *shape)``; a copy, which may be changed in place.
            generator: source of all randomness.

        Returns:
            ``(B, *shape)`` of the dtype of ``x``, and bool ``(B, ...)`` that broadcasts to it, True
            where a value was replaced by 0; None where every value still depends on the
            observation.
        """


CORRUPTIONS: Registry[Corruption] = Registry("corruption")
"""Corruptions by name."""


def corrupt(
    corruptions: Iterable[Corruption], x: Tensor, generator: Generator
) -> tuple[Tensor, Tensor | None]:
    """Apply ``corruptions`` in order; a value is masked where any of them removed it.

    Raises:
        TypeError: one returns no pair, values of another dtype or on another device than those of
            ``x``, or a mask that is no bool tensor.
        ValueError: one returns another shape, or a mask that does not broadcast to it.
    """
    mask: Tensor | None = None
    for i, corruption in enumerate(corruptions):
        # A copy, because ``x`` is the target: to change it in place would make the model learn that
        # noise. A corruption may do so by NumPy or ``x.data``, which no version counter notices.
        x, removed = _checked(corruption, x.clone() if i == 0 else x, generator)
        if removed is not None:
            mask = removed if mask is None else mask | removed
    return x, mask


def _checked(
    corruption: Corruption, x: Tensor, generator: Generator
) -> tuple[Tensor, Tensor | None]:
    name, shape = f"corruption {type(corruption).__name__}", x.shape
    returned: Any = corruption(x, generator)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(
            f"{name} must return a pair, the corrupted batch and its mask or None, got "
            f"{type(returned).__name__}"
        )
    corrupted, mask = returned
    if not isinstance(corrupted, Tensor) or corrupted.shape != shape:
        raise ValueError(
            f"{name} must return a batch of shape {tuple(shape)}, got {_kind(corrupted)}"
        )
    if (corrupted.dtype, corrupted.device) != (x.dtype, x.device):
        raise TypeError(
            f"{name} must return {_type(x)} as it got, not {_type(corrupted)}: return "
            "corrupted.to(x)"
        )
    if mask is None:
        return corrupted, None
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"{name} must return a bool tensor as its mask, or None, got {_kind(mask)}")
    if not _broadcasts(mask.shape, shape):
        raise ValueError(
            f"{name} must return a mask that broadcasts to {tuple(shape)}, got {tuple(mask.shape)}"
        )
    return corrupted, mask


def _type(x: Tensor) -> str:
    return f"{_dtype(x)} on {x.device}"


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{_dtype(value)} {tuple(value.shape)}"
    return type(value).__name__


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    last = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (1, wanted) for size, wanted in last)


def _uniform(shape: torch.Size | tuple[int, ...], x: Tensor, generator: Generator) -> Tensor:
    return torch.rand(shape, device=x.device, generator=generator)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")


@CORRUPTIONS.register("gaussian_noise")
@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Add normal noise."""

    std: float = 0.3
    """Standard deviation in scaled units."""
    clip: bool = False
    """Whether to clip to [0, 1], the range of images that were stored with their noise."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the standard deviation is not positive."""
        if not self.std > 0:
            raise ValueError(f"std is a standard deviation and must be positive, got {self.std}")

    @property
    def images_only(self) -> bool:
        """Whether values are clipped: vectors are scaled to standard scores, which are wider."""
        return self.clip

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, None]:
        """Return ``x`` plus noise, and no mask."""
        noisy = x + self.std * torch.randn(x.shape, device=x.device, generator=generator)
        return noisy.clamp(0, 1) if self.clip else noisy, None


@CORRUPTIONS.register("salt_and_pepper")
@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Set random values to 0 or 1, with equal probability."""

    fraction: float = 0.2
    """Fraction of the values that are replaced."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the fraction is not between 0 and 1."""
        _check_fraction(self.fraction)

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, None]:
        """Return a copy with the chosen values replaced, and no mask: they are not marked."""
        draw = _uniform(x.shape, x, generator)
        extremes = (draw < self.fraction / 2).to(x.dtype)
        return torch.where(draw < self.fraction, extremes, x), None


@CORRUPTIONS.register("masking")
@dataclass(frozen=True)
class Masking(Corruption):
    """Set random positions to 0, all channels of a pixel together."""

    fraction: float = 0.5
    """Fraction of the positions that are removed."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the fraction is not between 0 and 1."""
        _check_fraction(self.fraction)

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return a copy with the chosen positions zeroed, and their mask."""
        shape = (x.shape[0], 1, *x.shape[2:]) if x.ndim == 4 else x.shape
        mask = _uniform(shape, x, generator) < self.fraction
        return torch.where(mask, 0.0, x), mask


@CORRUPTIONS.register("cutout")
@dataclass(frozen=True)
class Cutout(Corruption):
    """Set one box per observation to 0: a rectangle of an image, an interval of steps or values.

    Each side of the box is a random fraction of the observation's side; its position is uniform.
    """

    smallest: float = 0.2
    """Lower bound of the box's side, as a fraction of the observation's side."""
    largest: float = 0.5
    """Upper bound of the box's side, as a fraction of the observation's side."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the bounds are not ordered fractions."""
        if not 0 < self.smallest <= self.largest < 1:
            raise ValueError(
                "cutout needs 0 < smallest <= largest < 1, got "
                f"smallest={self.smallest}, largest={self.largest}"
            )

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return a copy with one hole in each observation, and the mask of the holes."""
        axes = (2, 3) if x.ndim == 4 else (1,)
        mask = torch.ones((), dtype=torch.bool, device=x.device)
        for axis in axes:
            mask = mask & self._interval(x, axis, generator)
        return torch.where(mask, 0.0, x), mask

    def _interval(self, x: Tensor, axis: int, generator: Generator) -> Tensor:
        size = x.shape[axis]
        draw = _uniform((2, len(x)), x, generator)
        fraction = self.smallest + (self.largest - self.smallest) * draw[0]
        length = (fraction * size).round().clamp(min=1)
        first = (draw[1] * (size - length + 1)).floor()
        column = [len(x)] + [1] * (x.ndim - 1)
        along = [size if i == axis else 1 for i in range(x.ndim)]
        position = torch.arange(size, device=x.device).view(along)
        return (position >= first.view(column)) & (position < (first + length).view(column))


@CORRUPTIONS.register("blur")
@dataclass(frozen=True)
class Blur(Corruption):
    """Convolve with a normal kernel."""

    sigma: float = 1.5
    """Standard deviation of the kernel in pixels, steps or values."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the kernel has no width."""
        if not self.sigma > 0:
            raise ValueError(
                f"sigma is a standard deviation and must be positive, got {self.sigma}"
            )

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, None]:
        """Return a smoothed copy whose edges repeat their last value, and no mask."""
        axes = (2, 3) if x.ndim == 4 else (1,)
        for axis in axes:
            x = self._along(x, axis)
        return x, None

    def _along(self, x: Tensor, axis: int) -> Tensor:
        # The normal kernel is separable: one axis after the other costs 2k instead of k^2.
        radius = max(1, math.ceil(3 * self.sigma))
        offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
        kernel = torch.softmax(-0.5 * (offsets / self.sigma).square(), 0)
        rows = x.transpose(axis, -1)
        padded = F.pad(rows.reshape(-1, 1, rows.shape[-1]), (radius, radius), mode="replicate")
        return F.conv1d(padded, kernel.view(1, 1, -1)).view(rows.shape).transpose(axis, -1)


@CORRUPTIONS.register("greyscale")
@dataclass(frozen=True)
class Greyscale(Corruption):
    """Replace the three channels by their luma (ITU-R BT.601), so that decoding is colouring."""

    colour_only = True

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, None]:
        """Return a grey copy, still of three channels, and no mask."""
        luma = (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return luma.expand_as(x).contiguous(), None


@CORRUPTIONS.register("hue_shift")
@dataclass(frozen=True)
class HueShift(Corruption):
    """Turn the hue of all pixels of an image by one random angle; grey pixels stay as they are."""

    colour_only = True

    def __call__(self, x: Tensor, generator: Generator) -> tuple[Tensor, None]:
        """Return a copy in other colours, each image in its own ones, and no mask."""
        shift = _uniform((len(x), 1, 1, 1), x, generator)
        value, chroma = x.amax(1, keepdim=True), x.amax(1, keepdim=True) - x.amin(1, keepdim=True)
        hue = _hue(x, chroma) + 6 * shift
        sectors = (x.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1) + hue) % 6
        return value - chroma * torch.minimum(sectors, 4 - sectors).clamp(0, 1), None


def _hue(x: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue of each pixel in sixths of the circle, ``(B, 1, H, W)``; any of grey ones."""
    following, previous = x.roll(-1, 1), x.roll(1, 1)
    sectors = torch.arange(0, 6, 2, device=x.device).view(1, 3, 1, 1)
    hues = sectors + (following - previous) / chroma.clamp_min(1e-6)
    return hues.gather(1, x.argmax(1, keepdim=True))
