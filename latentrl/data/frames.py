"""Frames to train on: an append-only store on disk, arrays, or files that ``readers`` opens."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.data.checks import check_observations, check_validation, refuse_masked, space_of
from latentrl.data.columns import DataFrame, column_names, is_data_frame, values_of
from latentrl.data.distinct import first_of_equals
from latentrl.data.images import ImageFolder
from latentrl.data.readers import Source, minari_id, open_named, read_known_factors
from latentrl.data.series import cut_series
from latentrl.data.shards import ReopenedShard, episode_numbers, join_steps, observations_of
from latentrl.data.store import has_store, open_store
from latentrl.types import Array, describe_space, space_from_json

CHUNK = 1_024
"""Observations that are read at once."""
CHUNK_BYTES = 2**24
"""Bytes that are read at once by ``check_learnable``."""


def evenly_spaced(total: int, count: int) -> Array:
    """Up to ``count`` positions in ``range(total)``, the middles of equal stretches."""
    count = min(count, total)
    positions: Array = ((np.arange(count) + 0.5) * total / max(count, 1)).astype(int)
    return positions


class Frames:
    """Observations by index, ``(B, *space.shape)``, read on access and never all in memory.

    ``frames[array_of_indices]`` reads a batch. ``frames.split()`` returns training and validation
    frames that share no episode. ``subset``, ``distinct`` and ``split`` return views: they copy no
    observation.
    """

    def __init__(
        self,
        space: spaces.Box,
        sources: Sequence[Source | ReopenedShard],
        episodes: Array,
        steps: Array | None = None,
        indices: Array | None = None,
        metadata: dict[str, Any] | None = None,
        factors: Mapping[str, Array] | None = None,
    ) -> None:
        """Join ``sources`` end to end; use ``Frames.open`` or ``as_frames`` rather than this.

        Args:
            space: space of one observation.
            sources: observations, read in this order.
            episodes: episode number of each observation, ``(N,)``.
            steps: record of each observation, ``(N,)``, as ``shards.step_dtype`` defines it.
            indices: positions in the sources that this view contains; None is all.
            metadata: origin of the observations.
            factors: known factors of variation by name, ``(N,)`` each; NaN is unknown.
        """
        self.space = space
        self.metadata = metadata or {}
        self._sources = list(sources)
        self._starts = np.cumsum([0, *map(len, sources)])
        self._episodes = episodes
        self._steps = steps
        self._factors = dict(factors or {})
        self.indices = np.arange(self._starts[-1]) if indices is None else indices

    @classmethod
    def open(cls, path: str | Path, verify: bool = False) -> Frames:
        """Open the store that ``collect`` wrote.

        Args:
            path: folder of the store.
            verify: whether to read all files once and to compare them with their checksums.

        Raises:
            FileNotFoundError: there is no store, or one of its files is missing.
            ValueError: the store is damaged or of a newer format.
        """
        manifest, shards = open_store(Path(path))
        if verify:
            for shard in shards:
                shard.verify()
        space = space_from_json(manifest["observation"])
        names = manifest.get("factors", ())
        steps = join_steps(shards, manifest["action"], names)
        return cls(
            space,
            observations_of(shards),
            episode_numbers(shards),
            steps,
            metadata=manifest,
            factors={name: steps["factors"][:, i] for i, name in enumerate(names)},
        )

    def __len__(self) -> int:
        """Return the number of observations in this view."""
        return len(self.indices)

    def __getitem__(self, index: Any) -> Array:
        """Return a fresh array of the observations at ``index``: an int, a slice or an array."""
        return self._read(self.indices[index])

    def _read(self, chosen: Any) -> Array:
        """Return the observations at positions in the sources, an int or an array."""
        flat = np.atleast_1d(chosen)
        out = np.empty((len(flat), *self.space.shape), self.space.dtype)
        # One indexing operation per source, whatever the order of the indices.
        which = np.searchsorted(self._starts, flat, side="right") - 1
        for number in np.unique(which):
            mask = which == number
            out[mask] = self._sources[number][flat[mask] - self._starts[number]]
        return out if np.ndim(chosen) else out[0]

    @property
    def observation_space(self) -> spaces.Box:
        """Space of the environment's observations, before any crop and resize by ``collect``."""
        stored = self.metadata.get("environment", {}).get("stored")
        described = stored.get("observation") if isinstance(stored, dict) else None
        return self.space if described is None else space_from_json(described)

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns of a table; None of other sources, and of one without a header."""
        columns: list[str] | None = self.metadata.get("columns")
        return columns

    @property
    def episodes(self) -> Array:
        """Episode number of each observation, ``(N,)``."""
        return self._episodes[self.indices]

    @property
    def times(self) -> Array:
        """Position of each observation within its episode, counted from 0, ``(N,)``."""
        # Of the whole store and not of this view, so that gaps in a view show in its times.
        order = np.argsort(self._episodes, kind="stable")
        _, starts, lengths = np.unique(self._episodes[order], return_index=True, return_counts=True)
        times = np.empty(len(order), np.int64)
        times[order] = np.arange(len(order)) - np.repeat(starts, lengths)
        return times[self.indices]

    @cached_property
    def _before(self) -> Array:
        """Position of the observation before each one of the sources; its own where it is first."""
        order = np.argsort(self._episodes, kind="stable")
        follows = np.diff(self._episodes[order], prepend=-1) == 0
        before = np.arange(len(order))
        before[order[follows]] = order[np.flatnonzero(follows) - 1]
        return before

    @property
    def ordered(self) -> bool:
        """Whether some observation has a previous one in its episode."""
        return bool((self._before[self.indices] != self.indices).any())

    def previous(self, index: Any) -> Array:
        """Return the observations one step before those at ``index``, as indexing does.

        The first observation of an episode is its own predecessor, and so are bare observations,
        which have no order. A predecessor need not be in this view.
        """
        return self._read(self._before[self.indices[index]])

    @property
    def steps(self) -> Array:
        """Record of each observation, ``(N,)``.

        Its fields are action, reward, terminated, truncated, env, episode and final, as in
        ``shards.step_dtype``. Observations with ``final`` are terminal: they have no action.

        Raises:
            ValueError: these observations have no records.
        """
        if self._steps is None:
            raise ValueError("these frames are bare observations: they have no actions or rewards")
        return self._steps[self.indices]

    @property
    def factors(self) -> dict[str, Array]:
        """Known factors of variation by name, ``(N,)`` each; NaN is unknown, and many have none."""
        return {name: values[self.indices] for name, values in self._factors.items()}

    def batches(self, size: int = CHUNK) -> Iterator[Array]:
        """Yield all observations in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def subset(self, indices: Array) -> Frames:
        """Return a view of the observations at ``indices``."""
        return Frames(
            self.space,
            self._sources,
            self._episodes,
            self._steps,
            self.indices[indices],
            self.metadata,
            self._factors,
        )

    def distinct(self) -> Frames:
        """Return a view with the first of each set of equal observations; reads each once."""
        observations = (observation for batch in self.batches() for observation in batch)
        return self.subset(np.array(first_of_equals(observations), int))

    def split(self, validation: float = 0.1, seed: int = 0) -> tuple[Frames, Frames]:
        """Split by episode into training and validation frames, at least one episode each.

        A single episode is cut in two: its last observations are for validation.

        Args:
            validation: fraction of the episodes to hold out, between 0 and 1.
            seed: seed of the choice of episodes.

        Raises:
            ValueError: there are fewer than two observations, or the fraction is out of range.
        """
        check_validation(validation)
        if len(self) < 2:
            raise ValueError(f"training and validation need at least 2 frames, got {len(self)}")
        # By episode: consecutive frames are nearly equal, and a random split would put one of such
        # a pair into validation.
        episodes = self.episodes
        numbers = np.unique(episodes)
        if len(numbers) == 1:
            cut = min(len(self) - 1, max(1, round(len(self) * (1 - validation))))
            held_out = np.arange(len(self)) >= cut
        else:
            count = min(len(numbers) - 1, max(1, round(len(numbers) * validation)))
            held_out = np.isin(episodes, np.random.default_rng(seed).permutation(numbers)[:count])
        return self.subset(np.flatnonzero(~held_out)), self.subset(np.flatnonzero(held_out))

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the sizes and of 64 observations at equal distances."""
        # Both ends are included: a store that was cut or extended gets another fingerprint.
        chosen = np.linspace(0, len(self) - 1, min(64, len(self))).astype(int)
        digest = hashlib.sha256(f"{len(self)} {describe_space(self.space)}".encode())
        digest.update(self[chosen].tobytes())
        return digest.hexdigest()[:16]


def as_frames(
    source: Frames | Array | DataFrame | str | Path,
    *,
    space: spaces.Box | None = None,
    array: str | None = None,
    window: int | None = None,
    stride: int = 1,
    episodes: Array | None = None,
) -> Frames:
    """Open observations from an array or a path.

    uint8 and uint16 observations are images, ``(H, W)`` or ``(H, W, C)`` in the range of the type.
    Floats of shape ``(D,)`` are vectors, ``(T, D)`` sequences and ``(H, W, C)`` images in [0, 1].

    Args:
        source: Frames, an array ``(N, *shape)``, a data frame, or a path: a store made by
            ``collect``; an ``.npy`` file; an ``.npz`` (the array called ``observations``, or the
            only one that is not ``labels``, ``factors`` or ``factor_names``); an IDX file such as
            MNIST's, also gzipped; a table, CSV or Parquet, whose rows are vectors; an image; a
            folder of images and of folders of images, which ``ImageFolder`` resizes; or
            ``minari://ID`` of a Minari dataset.
        space: space of one observation, for bounds that an array does not have; it is ignored where
            shape or type differ. A folder of images takes its size and colours.
        array: name of the array in an ``.npz`` of several.
        window: cut one series, ``(N,)`` or ``(N, D)``, into sequences of this length.
        stride: steps from the start of one sequence to that of the next.
        episodes: number of the episode of each observation, ``(N,)``, where those of an episode are
            in the order of time. Without it the observations have no order, so that nothing is
            known to change from one to the next.

    Raises:
        FileNotFoundError: there is nothing at the path.
        TypeError: ``source`` is none of these.
        ValueError: ``episodes`` does not fit, or the data have a type or shape that observations
            cannot have.
    """
    if isinstance(source, str | Path) and minari_id(source) is not None:
        from latentrl.data.minari import open_minari  # which imports this module

        source = open_minari(source)
    if isinstance(source, str | PathLike) and has_store(Path(source)):
        source = Frames.open(source, verify=True)
    if isinstance(source, Frames):
        if array is not None or window is not None or episodes is not None:
            raise ValueError(
                "array, window and episodes are for arrays and files of arrays, not for a store"
            )
        return source
    opened, columns = _opened(source, array)
    is_path = isinstance(source, str | PathLike)
    metadata: dict[str, Any] = {"source": str(source) if is_path else "an array"}
    metadata |= {} if columns is None else {"columns": columns}
    if window is None:
        # Factors belong to the observations that open by default.
        labelled = source if is_path and array is None else None
        return _bare(opened, metadata, space, labelled, episodes)
    if episodes is not None:
        raise ValueError("window cuts one series, which is one episode: remove episodes")
    return _windows(opened, metadata, window, stride)


def _opened(source: Any, array: str | None) -> tuple[Source, list[str] | None]:
    if isinstance(source, np.ndarray):
        return source, None
    if isinstance(source, str | PathLike):
        return open_named(Path(source), array)
    if is_data_frame(source):
        return values_of(source), column_names(source)
    remedy = "np.stack(list(...))" if hasattr(source, "__next__") else "np.asarray"
    raise TypeError(
        "expected Frames, a NumPy array, a data frame or a path, got "
        f"{type(source).__name__}; try {remedy}"
    )


def _bare(
    source: Source,
    metadata: dict[str, Any],
    space: spaces.Box | None,
    path: Any,
    episodes: Array | None,
) -> Frames:
    if isinstance(source, ImageFolder) and space is not None:
        source.convert_to(space)
    space = space_of(source, metadata["source"], space)
    known = {} if path is None else read_known_factors(path, len(source))
    numbers = np.arange(len(source)) if episodes is None else np.asarray(episodes)
    if numbers.shape != (len(source),) or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"episodes holds one whole number for each of {len(source):,} observations, not "
            f"{numbers.dtype} of shape {numbers.shape}"
        )
    counted = np.unique(numbers, return_inverse=True)[1]  # numbers from 0 on
    return Frames(space, [source], counted, metadata=metadata, factors=known)


def _windows(source: Source, metadata: dict[str, Any], window: int, stride: int) -> Frames:
    where = metadata["source"]
    refuse_masked(source, where)
    cut = cut_series(source, window, stride, where)
    # One episode, because windows that overlap must not lie on both sides of a split.
    episodes = np.zeros(len(cut), int)
    metadata = {**metadata, "window": window, "stride": stride}
    return Frames(space_of(cut, where), [cut], episodes, metadata=metadata)


def check_learnable(frames: Frames, bounds: spaces.Box | None = None) -> None:
    """Check that a model can learn from ``frames``; reads each observation at most once.

    Args:
        frames: the observations.
        bounds: space of images, whose bounds they have to keep; None compares none.

    Raises:
        ValueError: some observation contains NaN or infinity, or leaves its bounds, all are equal,
            or an image file is damaged.
    """
    if len(frames) < 2:
        return  # too few for ``Frames.split``, whose message is the better one
    for source in frames._sources:
        if isinstance(source, ImageFolder):
            source.verify()
    size = math.prod(frames.space.shape) * np.dtype(frames.space.dtype).itemsize
    check_observations(frames.batches(max(1, CHUNK_BYTES // size)), len(frames), bounds)
