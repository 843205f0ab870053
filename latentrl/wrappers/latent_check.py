"""Whether an encoder returns what a wrapper needs: one finite latent for each frame."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array, Encoder


def check_encoder(encoder: Any) -> None:
    """Raise ``TypeError`` where ``encoder`` is a class, or lacks what the protocol names."""
    if isinstance(encoder, type):
        raise TypeError(
            f"an encoder is an object, not the class {encoder.__name__}: make one, "
            f"{encoder.__name__}(...)"
        )
    name = type(encoder).__name__
    if not isinstance(encoder, Encoder):
        raise TypeError(f"an encoder has latent_space and encode(observations); {name} lacks one")
    if not isinstance(encoder.latent_space, spaces.Box):
        raise TypeError(f"{name}.latent_space must be a gymnasium Box, got {encoder.latent_space}")


def warn_if_unfitted(encoder: Encoder, stacklevel: int) -> None:
    """Warn where ``encoder`` is a model that ``fit`` has never had.

    A model that was saved and loaded, and one that needs no training, is as it is on purpose.

    Args:
        encoder: any encoder.
        stacklevel: as in ``warnings.warn``, for the caller.
    """
    if not isinstance(encoder, Autoencoder) or encoder.fitted:
        return
    if encoder.source is None and encoder.config.training != "none":
        warnings.warn(
            f"expected a fitted encoder, got the {encoder.config.model!r} model with its initial "
            "weights: its latents are random features. Fit it on frames of the environment first; "
            "to keep these weights on purpose, fit it with FitConfig(steps=0)",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def checked_latents(encoder: Encoder, frames: Array) -> Array:
    """Return ``encoder.encode(frames)`` in the dtype of its ``latent_space``.

    Raises:
        ValueError: latents have another shape or kind of numbers, or hold NaN or infinity; the
            message names the encoder's class.
    """
    space, name = encoder.latent_space, type(encoder).__name__
    latents = np.asarray(encoder.encode(frames))
    expected = (len(frames), *space.shape)
    if latents.shape != expected:
        raise ValueError(
            f"{name}.encode must return latents of shape {expected} for "
            f"{len(frames)} frames, one of shape {space.shape} each, got shape {latents.shape}"
        )
    if not np.isfinite(latents).all():
        raise ValueError(f"{name}.encode returned NaN or infinity")
    if latents.dtype == space.dtype:
        return latents
    if not np.can_cast(latents.dtype, space.dtype, "same_kind"):
        raise ValueError(
            f"{name}.encode returned {latents.dtype}, its latent_space declares {space.dtype}"
        )
    return latents.astype(space.dtype)
