"""Observations of any source as batches that a model takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentrl.data.columns import DataFrame, check_columns, column_names
from latentrl.data.frames import Frames, as_frames
from latentrl.models.arrays import chunks
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array

Observations = Frames | Array | DataFrame | str | Path
"""An array, with or without ``B`` in front, or a source that ``as_frames`` opens."""


def is_single(model: Autoencoder, observations: object) -> bool:
    """Return whether ``observations`` is one observation, without ``B``."""
    stored = model.preprocess.stored_space or model.observation_space
    shapes = (model.observation_space.shape, stored.shape)
    return isinstance(observations, np.ndarray) and observations.shape in shapes


def batches(model: Autoencoder, observations: Observations) -> Iterator[Array]:
    """Yield observations in order as checked arrays ``(B, *observation_shape)``.

    Raises:
        TypeError: they are neither an array, nor a data frame, nor Frames, nor a path.
        ValueError: shape, dtype or values do not belong to the observation space, or the columns
            are not those of the training.
    """
    source: Frames | Array
    if isinstance(observations, np.ndarray):
        source = observations
    else:
        source = as_frames(observations, space=model.observation_space)
    check_columns(column_names(source), model.columns)
    if is_single(model, source):
        source = source[None]
    for rows in chunks(len(source)):
        yield model.check_observations(source[rows], rows.start)


def scaled_batches(model: Autoencoder, frames: Frames, batch_size: int = 256) -> Iterator[Tensor]:
    """Yield frames in order as scaled tensors ``(B, *preprocess.shape)`` on the model's device."""
    for batch in frames.batches(batch_size):
        yield model.preprocess(torch.from_numpy(batch).to(model.device))


def previous_of(model: Autoencoder, frames: Frames, index: Any) -> Tensor | None:
    """Return the scaled frames one step before ``frames[index]``.

    Args:
        model: the model that takes them.
        frames: frames that have an order within their episodes.
        index: their positions, a slice or an array.

    Returns:
        ``(B, *preprocess.shape)``; None where no term of the model's loss needs them.
    """
    if not model.needs_previous:
        return None
    previous = torch.from_numpy(frames.previous(index)).to(model.device, non_blocking=True)
    scaled: Tensor = model.preprocess(previous)
    return scaled
