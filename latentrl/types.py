"""The protocols that wrappers rely on, and helpers for observation spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Array = NDArray[Any]


@runtime_checkable
class Encoder(Protocol):
    """What a wrapper needs of an encoder: any object with these two members will do."""

    @property
    def latent_space(self) -> spaces.Box:
        """The space of one code, of shape ``(latent_dim,)``."""

    def encode(self, observations: Array) -> Array:
        """Turn ``(B, *observation_shape)`` into float32 codes ``(B, latent_dim)``."""


@runtime_checkable
class Novelty(Protocol):
    """What a wrapper needs of a bonus: any object with these two methods will do.

    Row i of a batch is environment i. ``latentrl.novelty.Bonus`` lists what else may be there.
    """

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the bonus of the states reached, ``(B,)``, for frames ``(B, ...)`` and codes ``(B,
        latent_dim)``.
        """

    def update(self, observations: Array, latents: Array) -> None:
        """Learn from the states that were just scored."""


def as_space(source: spaces.Space[Any] | Sequence[int]) -> spaces.Box:
    """Return the Box that ``source`` means.

    Args:
        source: a Box, or a shape: ``(H, W, C)`` and ``(H, W)`` mean uint8 images in 0..255,
            ``(D,)`` means float32 vectors. Sequences ``(T, D)`` need their Box.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(source, spaces.Box):
        return source
    if isinstance(source, spaces.Space):
        raise TypeError(
            f"expected a Box observation space, got {type(source).__name__}; for a Dict space pass the Box of one key"
        )
    if not isinstance(source, Sequence):
        raise TypeError(
            f"expected an observation space or a shape such as (64, 64, 3), got {source!r}"
        )
    shape = tuple(int(size) for size in source)
    if len(shape) == 1:
        return spaces.Box(-np.inf, np.inf, shape, np.float32)
    return spaces.Box(0, 255, shape, np.uint8)


def space_to_json(space: spaces.Box) -> dict[str, Any]:
    """Describe a Box in JSON: shape, dtype and, where they are finite, its lowest and highest
    bound.
    """
    low, high = float(np.min(space.low)), float(np.max(space.high))
    bounds = [low, high] if np.isfinite([low, high]).all() else None
    return {"shape": list(space.shape), "dtype": np.dtype(space.dtype).name, "bounds": bounds}


def space_from_json(data: dict[str, Any]) -> spaces.Box:
    """Rebuild the Box that ``space_to_json`` described."""
    low, high = data["bounds"] or (-np.inf, np.inf)
    return spaces.Box(low, high, tuple(data["shape"]), np.dtype(data["dtype"]).type)


def describe_space(space: spaces.Space[Any]) -> str:
    """Name a space the way error messages do: ``(96, 96, 3) uint8``."""
    if isinstance(space, spaces.Box):
        return f"{space.shape} {np.dtype(space.dtype).name}"
    return str(space)
