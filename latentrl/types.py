"""The protocols that wrappers rely on, and helpers for observation spaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class LatentLayout:
    """How the values of a latent are laid out: a plain vector, or a grid of cells."""

    grid: tuple[int, int] | None
    """Rows and columns of cells, one cell per image region; None for a plain vector."""
    channels: int
    """Values per cell; of a plain vector, all its values."""

    @property
    def cells(self) -> int:
        """Number of cells, 1 for a plain vector."""
        return 1 if self.grid is None else math.prod(self.grid)

    @property
    def latent_dim(self) -> int:
        """Number of values of a latent."""
        return self.cells * self.channels

    @property
    def token_width(self) -> float:
        """Step to which values are rounded where equal latents are to be recognised.

        A cell takes few different values; a vector of a whole image changes with all in it.
        """
        return 1.0 if self.grid is None else 0.1

    def split(self, latents: Array) -> Array:
        """Return the cells of latents ``(B, channels * cells)`` as ``(B, cells, channels)``."""
        cells: Array = latents.reshape(len(latents), self.channels, self.cells).transpose(0, 2, 1)
        return cells

    @classmethod
    def of(cls, encoder: Encoder) -> LatentLayout:
        """Return the ``latent_layout`` of ``encoder``, or that of a vector where it has none."""
        own: LatentLayout | None = getattr(encoder, "latent_layout", None)
        return cls(None, math.prod(encoder.latent_space.shape)) if own is None else own


@dataclass(frozen=True)
class Transitions:
    """One step of the ``B`` environments that really stepped; a step that only resets is left out.

    The next observation is the one that the step reached: where an episode ended it is the
    terminal observation, never the first one of the next episode.
    """

    env_ids: Array
    """Number of each environment, int ``(B,)``."""
    observations: Array
    """Observations that were left, ``(B, *observation_shape)`` in the environment's units."""
    latents: Array
    """Their latents, float32 ``(B, latent_dim)``."""
    actions: Array
    """Actions taken, ``(B, *action_shape)``."""
    next_observations: Array
    """Observations that were reached, ``(B, *observation_shape)``."""
    next_latents: Array
    """Their latents, float32 ``(B, latent_dim)``."""
    terminated: Array
    """Whether the episode ended in a terminal state, bool ``(B,)``."""
    truncated: Array
    """Whether the episode was cut off, bool ``(B,)``."""

    def __len__(self) -> int:
        """Return ``B``."""
        return len(self.env_ids)

    def __getitem__(self, rows: Array) -> Transitions:
        """Return the transitions of these rows, an index array, slice or mask."""
        return Transitions(*(getattr(self, item.name)[rows] for item in fields(self)))


@runtime_checkable
class Encoder(Protocol):
    """What a wrapper needs of an encoder: any object with these two members.

    An encoder whose latents are a grid has a third one, ``latent_layout``.
    """

    @property
    def latent_space(self) -> spaces.Box:
        """Space of one latent, of shape ``(latent_dim,)``."""

    def encode(self, observations: Array) -> Array:
        """Return float32 latents ``(B, latent_dim)`` of ``(B, *observation_shape)``."""


@runtime_checkable
class Novelty(Protocol):
    """What a wrapper needs of a novelty bonus: any object with these two methods.

    ``latentrl.novelty.Bonus`` has the further methods that a bonus may override.
    """

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the bonus of the states that were reached, float32 ``(B,)``."""

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
