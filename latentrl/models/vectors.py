"""What a preprocessor provides, and that of vectors and sequences."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from latentrl.types import Array

CONSTANT_SCALE, CONSTANT_LIMIT = 1e-3, 10.0
"""Scale of a constant value as a fraction of its magnitude, and its largest standard score."""
MIDDLE, BLINDED = (0.025, 0.975), 0.1
"""Quantiles between which nearly all values lie, and their distance in standard deviations below
which a few others set the scale; it is 3.9 for a normal distribution."""
LIMIT = 1e6
"""Largest standard score of any value: squares and sums of it are still finite in float32."""
REMEDY = "if it stands for no reading, replace it or drop such observations"


class Preprocessor(nn.Module):
    """A map from a batch of raw observations to network inputs; ``inverse`` maps back."""

    shape: tuple[int, ...]
    """Shape of one network input: ``(C, H, W)``, ``(T, D)`` or ``(D,)``."""
    output_shape: tuple[int, ...]
    """Shape of one array that ``inverse`` returns: of an observation, cropped and resized."""
    stored_space: spaces.Box | None = None
    """Space of frames that ``collect`` stores cropped and resized, which ``forward`` takes, too;
    None where that would not make them smaller."""

    @property
    def own_range(self) -> tuple[Array, Array] | None:
        """Range of each channel of images that is that of the data; None if it is declared."""
        return None

    @property
    def output_space(self) -> spaces.Box:
        """Space of the arrays that ``inverse`` returns."""
        raise NotImplementedError

    def fit(self, sample: Array) -> None:
        """Compute the statistics of a sample ``(B, *observation_shape)`` of the data."""

    def inverse(self, x: Tensor) -> Tensor:
        """Map network outputs ``(B, *shape)`` to the environment's units."""
        raise NotImplementedError


class VectorPreprocessor(Preprocessor):
    """Standardise each of D values by its mean and standard deviation in the training data.

    All steps of a sequence ``(T, D)`` share the D statistics. The mean is subtracted in float64:
    in float32 a time in seconds since 1970 has a resolution of two minutes.
    """

    mean: Tensor
    """Mean of each value, float64 ``(D,)``."""
    std: Tensor
    """Standard deviation of each value, float64 ``(D,)``; of a constant one see ``fit``."""
    constant: Tensor
    """Whether each value is constant in the training data, bool ``(D,)``."""

    def __init__(self, space: spaces.Box) -> None:
        """Set mean 0 and standard deviation 1, until ``fit``."""
        super().__init__()
        self.shape = self.output_shape = space.shape
        self.space = space
        self.integral = np.issubdtype(space.dtype, np.integer)
        width = space.shape[-1]
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("std", torch.ones(width, dtype=torch.float64))
        self.register_buffer("constant", torch.zeros(width, dtype=torch.bool))

    @property
    def output_space(self) -> spaces.Box:
        """The observation space."""
        return self.space

    def fit(self, sample: Array) -> None:
        """Compute mean and standard deviation.

        A value that varies by no more than its rounding is constant. Its scale is a thousandth of
        its magnitude (of 0: of the median standard deviation of the others), so that any movement
        that matters shows; its standard score is limited to 10, so that the network bears it.

        Raises:
            ValueError: the variance of a value overflows.

        Warns:
            UserWarning: a few extreme numbers set the scale of a value.
        """
        rows = sample.reshape(-1, sample.shape[-1]).astype(np.float64)
        # Differences from the first row are exact, where sums of large values would be rounded.
        with np.errstate(over="ignore", invalid="ignore"):
            differences = rows - rows[0]
            mean, std = rows[0] + differences.mean(0), differences.std(0)
        _check_finite(rows, std)
        _warn_of_extremes(rows, std)
        precision = np.finfo(sample.dtype).eps if sample.dtype.kind == "f" else 0
        constant = std <= precision * np.abs(rows).max(0)
        others = np.median(std[~constant]) if not constant.all() else 1.0
        unit = CONSTANT_SCALE * np.where(mean == 0, others, np.abs(mean))
        self.mean.copy_(torch.as_tensor(mean))
        self.std.copy_(torch.as_tensor(np.where(constant, unit, std)))
        self.constant.copy_(torch.as_tensor(constant))

    def forward(self, observations: Tensor) -> Tensor:
        """Map ``(B, D)`` or ``(B, T, D)`` in environment units to standard scores, float32.

        They are limited to a million: far beyond all data, and with finite squares.
        """
        scores = ((observations.double() - self.mean) / self.std).clamp(-LIMIT, LIMIT).float()
        return torch.where(self.constant, scores.clamp(-CONSTANT_LIMIT, CONSTANT_LIMIT), scores)

    def inverse(self, x: Tensor) -> Tensor:
        """Map standard scores to environment units, float64; integers are rounded and clipped."""
        x = x.double() * self.std + self.mean
        if not self.integral:
            return x
        return x.round().clamp(float(self.space.low.min()), float(self.space.high.max()))


def _check_finite(rows: Array, std: Array) -> None:
    if not np.isfinite(std).all():
        column = int(np.isfinite(std).argmin())
        raise ValueError(f"{_extreme(rows, column)}, and a variance that is not finite: {REMEDY}")


def _warn_of_extremes(rows: Array, std: Array) -> None:
    low, high = np.quantile(rows, MIDDLE, axis=0, method="nearest")
    # A value that is nearly always the same but for rounding, such as a rare flag, has no other
    # scale.
    rounding = np.finfo(np.float32).eps * np.abs(rows).max(0)
    blinded = (high - low > rounding) & (high - low < BLINDED * std)
    if blinded.any():
        column = int(blinded.argmax())
        warnings.warn(
            f"{_extreme(rows, column)}, so that 95% of them differ by less than "
            f"{BLINDED:g} standard deviations, and hardly count: {REMEDY}; otherwise use a "
            "scale on which it is less extreme, such as a logarithm",
            stacklevel=6,
        )


def _extreme(rows: Array, column: int) -> str:
    """Words that name the number of a column that is farthest from the others."""
    values = rows[:, column]
    farthest = values[np.abs(values - np.median(values)).argmax()]
    return f"value {column} of the observations has {farthest:.3g} among others"
