"""The protocols that wrappers rely on, and helpers for observation spaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Array = NDArray[Any]
Value = TypeVar("Value")


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
        """Grid width at which two latents count as equal, in units of the latent.

        A cell takes few distinct values; a vector of a whole image varies with everything in it,
        and needs the coarser grid.
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
    """One step of the ``B`` environments that stepped; a step that only resets is left out.

    The next observation is the one that the step reached: at the end of an episode it is the
    terminal observation, never the first observation of the next episode.
    """

    env_ids: Array
    """Index of each environment, int ``(B,)``, all different."""
    observations: Array
    """Observations before the step, ``(B, *observation_shape)`` in the environment's units."""
    latents: Array
    """Latents of ``observations``, float32 ``(B, latent_dim)``."""
    actions: Array
    """Actions taken, ``(B, *action_shape)``."""
    next_observations: Array
    """Observations after the step, ``(B, *observation_shape)``."""
    next_latents: Array
    """Latents of ``next_observations``, float32 ``(B, latent_dim)``."""
    terminated: Array
    """Whether the episode ended in a terminal state, bool ``(B,)``."""
    truncated: Array
    """Whether the episode was cut off, bool ``(B,)``."""
    _cache: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """Return ``B``."""
        return len(self.env_ids)

    def __getitem__(self, rows: Array | slice) -> Transitions:
        """Return the transitions of ``rows``, an index array, a slice or a mask."""
        return Transitions(*(getattr(self, item.name)[rows] for item in fields(self) if item.init))

    def cached(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return ``compute()``, which runs once per ``key`` however many bonuses need its result.

        Args:
            key: identifies the result; ``LatentHash`` passes itself.
            compute: function of the fields, which must not change afterwards.
        """
        if key not in self._cache:
            self._cache[key] = compute()
        return cast(Value, self._cache[key])


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

    ``latentrl.novelty.Bonus`` adds the optional methods: ``reset``, ``step``, ``state_dict``,
    ``load_state_dict`` and ``metrics``.
    """

    def score(self, transitions: Transitions) -> Array:
        """Return the bonus of each transition, float32 ``(B,)``, without any change of state."""

    def update(self, transitions: Transitions) -> None:
        """Learn from transitions that have been scored."""


def as_space(source: spaces.Space[Any] | Sequence[int]) -> spaces.Box:
    """Return ``source`` as a Box.

    Args:
        source: a Box, or a shape: ``(H, W, C)`` and ``(H, W)`` stand for uint8 images in 0..255,
            ``(D,)`` for float32 vectors. Sequences ``(T, D)`` need their Box, without bounds.

    Raises:
        TypeError: ``source`` is neither.
    """
    if isinstance(source, spaces.Box):
        return source
    if isinstance(source, spaces.Space):
        raise TypeError(
            f"expected a Box observation space, got {type(source).__name__}; "
            "for a Dict space pass the Box of one key"
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
    """Describe a Box in JSON: shape, dtype, and its lowest and highest bounds if any are finite.

    A bound is a number, or a list along the last axis where it differs there, with null for
    infinite ones: RGB-D images have other bounds for depth than for colours.
    """
    bounds = [_bound_to_json(space.low, np.min), _bound_to_json(space.high, np.max)]
    known = any(value is not None for bound in bounds for value in np.atleast_1d(bound))
    described = {"shape": list(space.shape), "dtype": np.dtype(space.dtype).name}
    return {**described, "bounds": bounds if known else None}


def _bound_to_json(bound: Array, extreme: Callable[..., Array]) -> Any:
    values = np.atleast_1d(extreme(bound, axis=tuple(range(bound.ndim - 1))))
    listed = [float(value) if np.isfinite(value) else None for value in values.tolist()]
    return listed[0] if len(set(listed)) == 1 else listed


def space_from_json(data: dict[str, Any]) -> spaces.Box:
    """Rebuild the Box that ``space_to_json`` described."""
    shape = tuple(data["shape"])
    dtype = np.dtype(data["dtype"])
    low, high = (
        _bound_from_json(bound, infinite, shape, dtype)
        for bound, infinite in zip(data["bounds"] or (None, None), (-np.inf, np.inf), strict=True)
    )
    return spaces.Box(low, high, shape, dtype.type)


def _bound_from_json(bound: Any, infinite: float, shape: tuple[int, ...], dtype: Any) -> Any:
    values = [infinite if value is None else value for value in np.atleast_1d(bound)]
    if len(values) == 1:
        return values[0]
    return np.broadcast_to(np.array(values, np.float64), shape).astype(dtype)


def same_kind(space: spaces.Box, other: spaces.Box) -> bool:
    """Return whether observations have one shape and one dtype, or floats of any precision."""
    floats = space.dtype.kind == other.dtype.kind == "f"
    return space.shape == other.shape and (floats or space.dtype == other.dtype)


def describe_space(space: spaces.Space[Any]) -> str:
    """Name a space the way error messages do: ``(96, 96, 3) uint8``."""
    if isinstance(space, spaces.Box):
        return f"{space.shape} {np.dtype(space.dtype).name}"
    return str(space)
