"""Observations to scaled network inputs and back, batched and on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.types import Array, describe_space

if TYPE_CHECKING:
    from latentrl.models.stored import StoredSize

MAX_CHANNELS = 12
MIN_SIDE, MAX_SIDE = 8, 256
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Preprocessing:
    """Crop, resize and greyscale of images before the network, in this order."""

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels cut from the top, bottom, left and right."""
    size: tuple[int, int] | None = None
    """Height and width after an antialiased resize; None keeps the size."""
    greyscale: bool = False
    """Replace three colour channels by their luma."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid field."""
        if len(self.crop) != 4 or min(self.crop) < 0:
            raise ValueError(
                f"crop is (top, bottom, left, right) in pixels, none negative; got {self.crop}"
            )
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"size is (height, width) in pixels; got {self.size}")

    def stored(self, space: spaces.Box) -> StoredSize | None:
        """Return how ``collect`` stores frames of ``space``; None for as they are.

        Raises:
            ValueError: ``space`` is not of images that these fields fit.
        """
        from latentrl.models.stored import StoredSize  # which imports this module

        preprocess = make_preprocessor(space, self)
        return None if preprocess.stored_space is None else StoredSize(space, self)


def is_image(space: spaces.Box) -> bool:
    """Return whether observations are images, ``(H, W)`` uint8 or ``(H, W, C)``."""
    return len(space.shape) == 3 or (len(space.shape) == 2 and space.dtype == np.uint8)


def make_preprocessor(space: spaces.Box, config: Preprocessing) -> Preprocessor:
    """Return the preprocessor for observations of ``space``.

    Raises:
        ValueError: the space is neither an image of a supported size nor a vector, or
            ``config`` does not fit it.
    """
    if is_image(space):
        return ImagePreprocessor(space, config)
    if len(space.shape) not in (1, 2):
        raise ValueError(
            "expected images (H, W, C), sequences (T, D) or vectors (D,), got observations of "
            f"{describe_space(space)}"
        )
    if config != Preprocessing():
        raise ValueError(
            "crop, size and greyscale are for images; these observations are vectors or sequences"
        )
    return VectorPreprocessor(space)


class Preprocessor(nn.Module):
    """A map from a batch of raw observations to network inputs; ``inverse`` maps back."""

    shape: tuple[int, ...]
    """Shape of one network input: ``(C, H, W)``, ``(T, D)`` or ``(D,)``."""
    output_space: spaces.Box
    """Space of the arrays that ``inverse`` returns: the observation space, cropped and resized."""
    stored_space: spaces.Box | None = None
    """Space of frames that ``collect`` stores cropped and resized, which ``forward`` takes, too;
    None where that would not make them smaller."""

    def fit(self, sample: Array) -> None:
        """Compute the statistics of a sample ``(B, *observation_shape)`` of the data."""

    def inverse(self, x: Tensor) -> Tensor:
        """Map network outputs ``(B, *shape)`` to the environment's units."""
        raise NotImplementedError


class ImagePreprocessor(Preprocessor):
    """Crop, resize, greyscale, then scale to [0, 1] with channels first."""

    def __init__(self, space: spaces.Box, config: Preprocessing) -> None:
        """Compute the sizes.

        Raises:
            ValueError: ``config`` does not fit images of ``space``.
        """
        super().__init__()
        self.config = config
        height, width, channels = (*space.shape, 1)[:3]
        _check_channels(space, channels, config)
        top, bottom, left, right = config.crop
        self.rows, self.columns = slice(top, height - bottom), slice(left, width - right)
        cropped = (height - top - bottom, width - left - right)
        if min(cropped) < 1:
            raise ValueError(f"crop {config.crop} leaves nothing of a {height}x{width} image")
        self.size = config.size or cropped
        if min(self.size) < MIN_SIDE or max(self.size) > MAX_SIDE:
            raise ValueError(
                f"images go through the network at {MIN_SIDE} to {MAX_SIDE} pixels a side, not "
                f"{self.size[0]}x{self.size[1]}; set size, for example size=(64, 64), or, for "
                "sequences (T, D), give their Box of float32"
            )
        self.resizes = self.size != cropped
        if math.prod(self.size) < height * width:  # so that the shapes differ
            self.stored_space = resized_space(space, self.size)
        self.shape = (1 if config.greyscale else channels, *self.size)
        self.low, self.high = _bounds(space)
        out_shape = self.size if len(space.shape) == 2 else (*self.size, self.shape[0])
        self.output_space = spaces.Box(self.low, self.high, out_shape, space.dtype.type)
        self.integral = np.issubdtype(space.dtype, np.integer)

    def forward(self, observations: Tensor) -> Tensor:
        """Map ``(B, H, W[, C])`` in environment units to ``(B, C, h, w)`` in [0, 1]."""
        x = self.resize(observations)
        x = (x.float() - self.low) / (self.high - self.low)
        if self.config.greyscale:
            x = (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return x

    def resize(self, observations: Tensor) -> Tensor:
        """Crop and resize ``(B, H, W[, C])`` to ``(B, C, h, w)``, in environment units.

        Images of ``stored_space`` are cropped and resized already.
        """
        x = observations if observations.ndim == 4 else observations.unsqueeze(-1)
        if self.stored_space is not None and x.shape[1:3] == self.size:
            return x.permute(0, 3, 1, 2)
        x = x[:, self.rows, self.columns].permute(0, 3, 1, 2)
        return self._interpolate(x) if self.resizes else x

    def _interpolate(self, x: Tensor) -> Tensor:
        # The uint8 kernel is much faster on the CPU and does not exist on CUDA. It rounds columns
        # and then rows half up, and so does the float path: where images shrink they differ in 1
        # value of 200, by one grey level. Enlarged images take the float path on every device.
        shrinks = self.size[0] <= x.shape[2] and self.size[1] <= x.shape[3]
        if x.dtype == torch.uint8 and x.device.type == "cpu" and shrinks:
            return F.interpolate(x, self.size, mode="bilinear", antialias=True)
        for size in ((x.shape[2], self.size[1]), self.size):
            x = F.interpolate(x.float(), size, mode="bilinear", antialias=True)
            x = (x + 0.5).floor() if self.integral else x
        return x

    def inverse(self, x: Tensor) -> Tensor:
        """Map ``(B, C, h, w)`` in [0, 1] to ``(B, h, w, C)`` in the environment's range."""
        x = x.clamp(0, 1).permute(0, 2, 3, 1) * (self.high - self.low) + self.low
        x = x.round() if self.integral else x
        return x.squeeze(-1) if len(self.output_space.shape) == 2 else x


class VectorPreprocessor(Preprocessor):
    """Standardise each of D values by its mean and standard deviation in the training data.

    All steps of a sequence ``(T, D)`` share the D statistics.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, space: spaces.Box) -> None:
        """Set mean 0 and standard deviation 1, until ``fit``."""
        super().__init__()
        self.shape = space.shape
        self.output_space = space
        self.integral = np.issubdtype(space.dtype, np.integer)
        self.register_buffer("mean", torch.zeros(space.shape[-1]))
        self.register_buffer("std", torch.ones(space.shape[-1]))

    def fit(self, sample: Array) -> None:
        """Compute mean and standard deviation; constant values keep a scale of 1."""
        # float64: a mean far from 0 would cancel most digits of the variance.
        rows = sample.reshape(-1, sample.shape[-1])
        std = rows.std(0, dtype=np.float64)
        self.mean.copy_(torch.as_tensor(rows.mean(0, dtype=np.float64)))
        self.std.copy_(torch.as_tensor(np.where(std < 1e-8, 1.0, std)))

    def forward(self, observations: Tensor) -> Tensor:
        """Map ``(B, D)`` or ``(B, T, D)`` in environment units to standard scores."""
        return (observations.float() - self.mean) / self.std

    def inverse(self, x: Tensor) -> Tensor:
        """Map standard scores to environment units; integers are rounded and clipped."""
        x = x * self.std + self.mean
        if not self.integral:
            return x
        return x.round().clamp(
            float(self.output_space.low.min()), float(self.output_space.high.max())
        )


def resized_space(space: spaces.Box, size: tuple[int, int]) -> spaces.Box:
    """Return the space of images of ``space`` after a crop and a resize to ``size``."""
    shape = (*size, *space.shape[2:])
    low, high = np.broadcast_to(space.low.min((0, 1)), shape), space.high.max((0, 1))
    return spaces.Box(low, np.broadcast_to(high, shape), dtype=space.dtype.type)


def _check_channels(space: spaces.Box, channels: int, config: Preprocessing) -> None:
    if channels > MAX_CHANNELS and space.shape[0] <= MAX_CHANNELS:
        raise ValueError(
            f"images of shape {space.shape} look channels-first; latentrl takes (H, W, C): "
            "transpose the observations"
        )
    if channels > MAX_CHANNELS:
        raise ValueError(f"images have 1 to {MAX_CHANNELS} channels, got shape {space.shape}")
    if config.greyscale and channels != 3:
        raise ValueError(f"greyscale needs 3 colour channels, these images have {channels}")


def _bounds(space: spaces.Box) -> tuple[float, float]:
    low, high = float(np.min(space.low)), float(np.max(space.high))
    if not np.isfinite([low, high]).all() or high <= low:
        raise ValueError(
            f"images need finite bounds to be scaled to [0, 1], got low={low:g}, high={high:g}; "
            "give the Box its true range, for example Box(0, 255, shape, np.uint8)"
        )
    return low, high
