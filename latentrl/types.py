"""The protocols that wrappers rely on, and helpers for observation spaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Array = NDArray[Any]
Value = TypeVar("Value")
DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
}
"""Types of observations and actions on disk, by their names: booleans, integers and floats."""
MAX_AXES = 8
MAX_VALUES = 2**25
"""Most values of one observation: more than an image of 3840 x 2160 pixels in colour has."""


@dataclass(frozen=True)
class LatentLayout:
    """How the values of a latent are laid out: a plain vector, or a grid of cells."""

    grid: tuple[int, int] | None
    """Rows and columns of cells, one cell per image region; None for a plain vector."""
    channels: int
    """Values per cell; of a plain vector, all its values."""
    level_width: float | None = None
    """Grid width that keeps all levels of a quantised latent apart; None of a continuous one."""

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

        Quantised latents count as equal where their levels are. Of the continuous ones, a cell
        takes few distinct values; a vector of a whole image varies with everything in it, and needs
        the coarser grid.
        """
        if self.level_width is not None:
            return self.level_width
        return 1.0 if self.grid is None else 0.1

    def place(self, index: int) -> tuple[int, int, int] | None:
        """Return row, column and channel of a dimension; None of a plain vector."""
        if self.grid is None:
            return None
        channel, cell = divmod(index, self.cells)
        return (*divmod(cell, self.grid[1]), channel)

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
        ValueError: an axis of it has no values.
    """
    if isinstance(source, spaces.Box):
        if 0 in source.shape:
            raise ValueError(
                f"observations of {describe_space(source)} hold no values: each axis of a space "
                "has a size of at least 1"
            )
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
    """Describe a Box in JSON: shape, dtype and bounds.

    ``bounds`` is ``[low, high]``, or None where all values are unbounded. Where ``low`` or ``high``
    differs along the last axis, such as the channels of an image, it is a list with one value per
    index of that axis. None in place of a number is infinity.
    """
    width = space.shape[-1] if space.shape else 1
    below = space.bounded_below.reshape(-1, width).all(0)
    above = space.bounded_above.reshape(-1, width).all(0)
    low = _bound_to_json(space.low.reshape(-1, width).min(0), below)
    high = _bound_to_json(space.high.reshape(-1, width).max(0), above)
    bounds = None if low is None and high is None else [low, high]
    return {"shape": list(space.shape), "dtype": np.dtype(space.dtype).name, "bounds": bounds}


def space_from_json(data: Mapping[str, Any]) -> spaces.Box:
    """Rebuild the Box that ``space_to_json`` described.

    Raises:
        ValueError: the description is damaged, or the space has more than ``MAX_VALUES`` values.
    """
    shape, bounds = shape_from_json(data.get("shape")), data.get("bounds")
    dtype = dtype_from_json(data.get("dtype"))
    if bounds is None:
        bounds = [None, None]
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        raise ValueError(f"the bounds of a space are [low, high] or null, got {shorten(bounds)}")
    low = _bound_from_json(bounds[0], -np.inf, shape, dtype)
    high = _bound_from_json(bounds[1], np.inf, shape, dtype)
    return spaces.Box(low, high, shape, dtype.type)


def shape_from_json(value: Any) -> tuple[int, ...]:
    """Return a shape that JSON holds as a list.

    Raises:
        ValueError: it is no list of positive whole numbers, or their product is above
            ``MAX_VALUES``.
    """
    if not isinstance(value, list | tuple) or any(type(size) is not int for size in value):
        raise ValueError(f"a shape is a list of whole numbers, got {shorten(value)}")
    if len(value) > MAX_AXES or min(value, default=1) < 1 or math.prod(value) > MAX_VALUES:
        raise ValueError(
            f"a shape has up to {MAX_AXES} positive sizes and up to {MAX_VALUES:,} values, "
            f"got {shorten(value)}"
        )
    return tuple(value)


def dtype_from_json(value: Any) -> np.dtype[Any]:
    """Return the dtype of this name.

    Raises:
        ValueError: it is not the name of a NumPy type of booleans, integers or floats.
    """
    # A table rather than ``np.dtype(value)``: an object dtype would make pointers of file contents.
    if not isinstance(value, str) or value not in DTYPES:
        raise ValueError(f"a dtype is one of {', '.join(DTYPES)}; got {shorten(value)}")
    return DTYPES[value]


def shorten(value: Any, length: int = 60) -> str:
    """Return ``repr(value)`` of at most ``length`` characters, for error messages."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _bound_to_json(bound: Array, bounded: Any) -> Any:
    values = [
        value if finite else None
        for value, finite in zip(bound.tolist(), bounded.tolist(), strict=True)
    ]
    return values[0] if len(set(values)) == 1 else values


def _bound_from_json(
    value: Any, infinity: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    values = value if isinstance(value, list | tuple) else [value]
    numbers = [infinity if number is None else number for number in values]
    # NaN is the only number that differs from itself.
    if any(type(number) not in (bool, int, float) or number != number for number in numbers):
        raise ValueError(f"a bound of a space is a number, a list or null, got {shorten(value)}")
    if len(values) not in (1, *shape[-1:]):
        raise ValueError(
            f"a space of shape {shape} has one bound, or one per index of its last axis, not "
            f"{len(values)}"
        )
    bound = np.array([_clip(number, dtype) for number in numbers], dtype)
    return np.broadcast_to(bound[0] if len(bound) == 1 else bound, shape)


def _clip(number: float, dtype: np.dtype[Any]) -> float:
    # Before the cast, which overflows. Python compares numbers of any size exactly.
    if dtype.kind != "f":
        limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return int(min(max(number, limits[0]), limits[1]))
    largest = float(np.finfo(dtype).max)
    if number in (-math.inf, math.inf):
        return number
    return float(min(max(number, -largest), largest))


def same_kind(space: spaces.Box, other: spaces.Box) -> bool:
    """Return whether observations have one shape and one dtype, or floats of any precision."""
    floats = space.dtype.kind == other.dtype.kind == "f"
    return space.shape == other.shape and (floats or space.dtype == other.dtype)


def describe_space(space: spaces.Space[Any]) -> str:
    """Name a space the way error messages do: ``(96, 96, 3) uint8``."""
    if isinstance(space, spaces.Box):
        return f"{space.shape} {np.dtype(space.dtype).name}"
    return str(space)
