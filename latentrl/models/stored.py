"""Frames that are stored at the size at which the network takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from latentrl.data.columns import check_columns
from latentrl.data.frames import Frames, as_frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations
from latentrl.models.preprocessing import ImagePreprocessor, Preprocessing
from latentrl.types import Array, describe_space, same_kind, space_to_json
from latentrl.utils.settings import check_same_settings


class StoredSize:
    """Crop and resize of frames before they are stored; the network's inputs stay the same bits."""

    def __init__(self, space: spaces.Box, config: Preprocessing) -> None:
        """Store images of ``space``; errors as in ``ImagePreprocessor``."""
        self.original, self.config = space, config
        self.preprocess = ImagePreprocessor(space, config)
        self.space = self.preprocess.stored_space or space
        """Space of one stored frame; it keeps its colours, because luma has fractions."""

    def __call__(self, observations: Array) -> Array:
        """Return observations ``(B, H, W[, C])`` cropped and resized, ``(B, h, w[, C])``."""
        writable = np.require(observations, requirements=["C", "W"])
        resized = self.preprocess.resize(torch.from_numpy(writable)).permute(0, 2, 3, 1).numpy()
        stored: Array = resized.reshape(-1, *self.space.shape).astype(self.space.dtype)
        return stored

    def to_json(self) -> dict[str, Any]:
        """Return the space of the original observations, crop and size, for the manifest."""
        return {
            "observation": space_to_json(self.original),
            "crop": list(self.config.crop),
            "size": list(self.preprocess.size),
        }


def stored_preprocessing(frames: Frames) -> Preprocessing:
    """Return the crop and size with which frames are stored; neither for those stored whole."""
    stored = frames.metadata.get("environment", {}).get("stored", {})
    if frames.space.shape == frames.observation_space.shape:
        return Preprocessing()
    return Preprocessing(tuple(stored["crop"]), tuple(stored["size"]))


def frames_of(model: Autoencoder, source: Observations) -> Frames:
    """Return ``source``, anything that ``as_frames`` takes, as frames that the model takes.

    Raises:
        TypeError: ``model`` is no model.
        ValueError: the frames are not of the model's observation space, or cropped otherwise.
        Exception: those of ``as_frames``.
    """
    if not isinstance(model, Autoencoder):
        raise TypeError(
            f"expected a model first and its frames second, got {type(model).__name__} and "
            f"{type(source).__name__}"
        )
    expected = model.observation_space
    frames = as_frames(source, space=expected)
    if not same_kind(frames.observation_space, expected):
        raise ValueError(
            f"the model takes observations of {describe_space(expected)}, these frames are "
            f"{describe_space(frames.observation_space)}: build the model with the frames' "
            "observation_space, and where they were stored cropped or resized also with their "
            "preprocessing"
        )
    check_stored(frames, model)
    return frames


def check_stored(frames: Frames, model: Autoencoder) -> None:
    """Check that stored frames have the crop and size of the model, and tables its columns.

    Args:
        frames: frames of the model's observation space.
        model: the model that shall encode them.

    Raises:
        ValueError: crop or size differ, or the columns or their order.
    """
    check_columns(frames.columns, model.columns)
    if frames.space.shape == frames.observation_space.shape:
        return
    crop = frames.metadata["environment"]["stored"].get("crop")
    shape, channels = frames.space.shape, model.observation_space.shape[2:]
    check_same_settings(
        {"crop": crop, "size": shape[:2], "channels": shape[2:]},
        {
            "crop": model.config.preprocessing.crop,
            "size": model.preprocess.shape[1:],
            "channels": channels,
        },
        "the frame store",
        "build the model with the crop and size of the frames, or collect frames again",
    )
