"""Observations to scaled network inputs and back, batched and on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from latentrl.data.channels_first import MIN_SIDE, refuse_channels_first
from latentrl.models.channels import declared_range, finite_range, range_of, resized_space
from latentrl.models.vectors import Preprocessor, VectorPreprocessor
from latentrl.types import Array, describe_space

if TYPE_CHECKING:
    from latentrl.models.stored import StoredSize

MAX_CHANNELS = 256
"""Most channels of an image: bands of a spectrum, or colours of stacked frames."""
MAX_SIDE = 256
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
    """Return whether observations are images: ``(H, W, C)``, or ``(H, W)`` by the rule below.

    Two axes are an image where the values are uint8, or where both sides have 8 pixels or more and
    all values share one finite range, as in ``Box(0, 255, (32, 32))``. Otherwise they are a
    sequence ``(T, D)``: one without bounds, or with bounds that differ between its D values.
    """
    if len(space.shape) != 2:
        return len(space.shape) == 3
    low, high = space.low.min(), space.high.max()
    one_range = bool((space.low == low).all() and (space.high == high).all())
    finite = bool(np.isfinite([low, high]).all())
    return space.dtype == np.uint8 or (one_range and finite and min(space.shape) >= MIN_SIDE)


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
            "crop, size and greyscale are for images; these observations are vectors or sequences: "
            "leave them out"
        )
    return VectorPreprocessor(space)


class ImagePreprocessor(Preprocessor):
    """Crop, resize, scale each channel from its range to [0, 1], greyscale; channels first.

    The range is that of the observation space. ``fit`` takes the range of the data in its place
    where the space has no finite bounds, or where the data use less than a tenth of it.
    """

    low: Tensor
    """Value of each channel that scales to 0, ``(C,)``."""
    high: Tensor
    """Value of each channel that scales to 1, ``(C,)``."""

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
        self.cropped = cropped = (height - top - bottom, width - left - right)
        if min(cropped) < 1:
            raise ValueError(f"crop {config.crop} leaves nothing of a {height}x{width} image")
        self.size = config.size or cropped
        if min(self.size) < MIN_SIDE or max(self.size) > MAX_SIDE:
            raise ValueError(
                f"images go through the network at {MIN_SIDE} to {MAX_SIDE} pixels a side, not "
                f"{self.size[0]}x{self.size[1]}; set preprocessing=Preprocessing(size=(64, 64)) "
                "or --size 64, or, for sequences (T, D), give their Box of float32 without bounds"
            )
        self.resizes = self.size != cropped
        if math.prod(self.size) < height * width:  # so that the shapes differ
            self.stored_space = resized_space(space, self.size)
        self.shape = (1 if config.greyscale else channels, *self.size)
        self.output_shape = self.size if len(space.shape) == 2 else (*self.size, self.shape[0])
        self.dtype = space.dtype
        self.integral = np.issubdtype(space.dtype, np.integer)
        self.declared = declared_range(space)
        low, high = finite_range(*self.declared)
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.float32))
        self.register_buffer("high", torch.as_tensor(high, dtype=torch.float32))

    @property
    def output_space(self) -> spaces.Box:
        """Space of the arrays that ``inverse`` returns, with the range that scales to [0, 1]."""
        low, high = (
            np.broadcast_to(bound.cpu().numpy(), self.output_shape[:2] + self.shape[:1])
            .reshape(self.output_shape)
            .astype(self.dtype)
            for bound in self._range(self.shape[0])
        )
        return spaces.Box(low, high, dtype=self.dtype.type)

    @property
    def own_range(self) -> tuple[Array, Array] | None:
        """Range of each channel of the data, None where images are scaled by the declared one."""
        low, high = (bound.cpu().double().numpy() for bound in (self.low, self.high))
        declared = np.asarray(self.declared)
        return None if np.allclose(declared, [low, high], rtol=1e-6) else (low, high)

    def fit(self, sample: Array) -> None:
        """Take the range of the data where the declared one is infinite or ten times too wide.

        Args:
            sample: images ``(B, H, W[, C])`` of any height and width.

        Warns:
            UserWarning: a channel is scaled by the data, or a few values alone keep it from that.
        """
        self.set_range(*range_of(sample, self.declared))

    def set_range(self, low: Array, high: Array) -> None:
        """Scale each channel from ``low`` to ``high``, ``(C,)``.

        Raises:
            ValueError: there is not one finite range per channel, from a lower to a higher value.
        """
        finite = np.isfinite(low).all() and np.isfinite(high).all()
        if not (low.shape == high.shape == self.low.shape and finite and (high > low).all()):
            raise ValueError(
                f"the range of {len(self.low)} channels has a lower and a higher value of each, "
                f"got {low.tolist()} and {high.tolist()}"
            )
        self.low.copy_(torch.as_tensor(low))
        self.high.copy_(torch.as_tensor(high))

    def forward(self, observations: Tensor) -> Tensor:
        """Map ``(B, H, W[, C])`` in environment units to ``(B, C, h, w)``, the range to [0, 1]."""
        x = self.scale(self.resize(observations))
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

    def scale(self, x: Tensor) -> Tensor:
        """Scale images ``(B, C, h, w)`` of any size, the range of each channel to [0, 1]."""
        count, channels, height, width = x.shape
        # Whole rows of pixels are several times faster than a last axis of three channels.
        rows = x.float().permute(0, 2, 3, 1).flatten(2)
        rows = (rows - self.low.repeat(width)).div_((self.high - self.low).repeat(width))
        return rows.reshape(count, height, width, channels).permute(0, 3, 1, 2)

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
        """Map ``(B, C, h, w)`` in [0, 1] to ``(B, h, w, C)`` in the range of each channel."""
        low, high = self._range(x.shape[1])
        x = x.clamp(0, 1).permute(0, 2, 3, 1) * (high - low) + low
        x = x.round() if self.integral else x
        return x.squeeze(-1) if len(self.output_shape) == 2 else x

    def _range(self, channels: int) -> tuple[Tensor, Tensor]:
        """Lowest and highest value of each of ``channels``, ``(channels,)``; of luma, of all."""
        if channels == len(self.low):
            return self.low, self.high
        return self.low.min(0, keepdim=True)[0], self.high.max(0, keepdim=True)[0]


def _check_channels(space: spaces.Box, channels: int, config: Preprocessing) -> None:
    refuse_channels_first(space.shape)
    if channels > MAX_CHANNELS:
        raise ValueError(
            f"images have 1 to {MAX_CHANNELS} channels, got shape {space.shape}; stack fewer "
            "frames in one observation, since agents stack latents"
        )
    if config.greyscale and channels != 3:
        raise ValueError(f"greyscale needs 3 colour channels, these images have {channels}")
