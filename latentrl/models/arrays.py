"""Arrays of observations and latents: checks, and functions mapped over them in chunks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from latentrl.data.bounds import TOLERANCE, clip, describe_outside, fraction_outside
from latentrl.data.checks import refuse_masked
from latentrl.data.frames import Frames
from latentrl.models.preprocessing import is_image
from latentrl.types import Array, describe_space

CHUNK = 512
"""Observations per forward pass: enough to keep a GPU busy, little enough for its memory."""


def map_chunks(
    function: Callable[[Tensor], Tensor],
    array: Array,
    single_shape: tuple[int, ...],
    device: torch.device,
) -> Array:
    """Apply a function of tensors to an array, at most ``CHUNK`` rows at a time.

    Args:
        function: maps ``(B, ...)`` on ``device`` to ``(B, ...)``.
        array: ``(B, *single_shape)``, or ``single_shape`` for one row.
        single_shape: shape of one row.
        device: where ``function`` runs.

    Returns:
        The results of all rows, without ``B`` where ``array`` had none.
    """
    single = array.shape == single_shape
    batch = array[None] if single else array
    results = [function(_upload(batch[rows], device)).cpu().numpy() for rows in chunks(len(batch))]
    return results[0][0] if single else np.concatenate(results)


def chunks(count: int) -> Iterator[slice]:
    """Yield the rows of each chunk of ``count`` rows; of none, one empty chunk."""
    # An empty batch is one empty chunk, whose result has the right shape.
    for start in range(0, max(count, 1), CHUNK):
        yield slice(start, start + CHUNK)


def _upload(array: Array, device: torch.device) -> Tensor:
    # torch warns of read-only memory and has no negative strides: "W" and "C" copy those.
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(
        device, non_blocking=True
    )


def require_array(observations: Any) -> Array:
    """Return observations as an array.

    Raises:
        TypeError: they are a path or Frames.
        ValueError: some values are masked.
    """
    if isinstance(observations, Frames | str | PathLike):
        given = "Frames" if isinstance(observations, Frames) else f"the path {str(observations)!r}"
        raise TypeError(f"expected an array, got {given}: read it by as_frames(...)[:]")
    refuse_masked(observations, "the observations")
    return np.asarray(observations)


def check_observations(array: Array, space: spaces.Box, first: int = 0) -> Array:
    """Return observations of ``space``, one or ``(B, ...)``, as an array that models take.

    Args:
        array: what ``require_array`` returned.
        space: what they belong to.
        first: row of the first one in what the user gave, for error messages.

    Raises:
        ValueError: shape, dtype or values do not belong to the space.
    """
    _check_shape(array, space)
    if np.issubdtype(space.dtype, np.integer):
        if array.dtype != space.dtype:
            raise ValueError(
                f"expected {np.dtype(space.dtype).name} observations, got {array.dtype.name}; "
                f"convert them to the units of {describe_space(space)} first"
            )
        return array
    array = _finite(array, "observations", array.ndim > len(space.shape), first)
    return _within(array.astype(np.float32, copy=False), space) if is_image(space) else array


def check_latents(latents: Array, latent_dim: int) -> Array:
    """Return latents, one or ``(B, latent_dim)``, as an array that models take.

    Raises:
        ValueError: the shape is another, or a value is not finite.
    """
    array = np.asarray(latents)
    if array.ndim not in (1, 2) or array.shape[-1] != latent_dim:
        raise ValueError(f"expected latents of shape (B, {latent_dim}), got {array.shape}")
    return _finite(array, "latents", array.ndim > 1).astype(np.float32, copy=False)


def _check_shape(array: Array, space: spaces.Box) -> None:
    axes = len(space.shape)
    if array.shape[-axes:] != space.shape or array.ndim - axes not in (0, 1):
        raise ValueError(
            f"expected observations of shape (B, {', '.join(map(str, space.shape))}), "
            f"got {array.shape}"
        )


def _within(images: Array, space: spaces.Box) -> Array:
    """Return images within the bounds of their channels, clipped where they leave them a little."""
    batch = images.reshape(-1, *space.shape)
    outside = fraction_outside(batch, space).max(initial=0)
    if outside > TOLERANCE:
        raise ValueError(
            f"images of {describe_space(space)} {describe_outside(batch, space)}: scale them to "
            "that range, or clip what noise adds"
        )
    if outside == 0:
        return images
    warnings.warn(
        f"images of {describe_space(space)} {describe_outside(batch, space)}: they are clipped",
        UserWarning,
        stacklevel=6,
    )
    return clip(images, space)


def _finite(array: Array, what: str, batched: bool, first: int = 0) -> Array:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers, got {what} of dtype {array.dtype}")
    if not np.isfinite(array).all():
        row = first + np.isfinite(array.reshape(len(array), -1)).all(1).argmin()
        where = f", first in row {row}" if batched else ""
        raise ValueError(f"{what} contain NaN or infinity{where}")
    # Times in seconds since 1970 need their digits until the mean is subtracted.
    return array.astype(
        np.float32 if np.can_cast(array.dtype, np.float32) else np.float64, copy=False
    )
