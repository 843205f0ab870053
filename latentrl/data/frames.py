"""Frames to learn from: an append-only store on disk, arrays, or what ``readers`` reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.data.readers import Source, open_source
from latentrl.data.store import Shard, episode_numbers, read_manifest, step_dtype
from latentrl.types import Array, as_space, describe_space, space_from_json

CHUNK_BYTES = 2**24
CHUNK = 1_024
EXPECTED = (
    "expected uint8 images (N, H, W) or (N, H, W, C), or floats: vectors (N, D), sequences (N, T, D) "
    "or images (N, H, W, C) in [0, 1]"
)
REMEDIES = {
    "uint8": "reshape images to (N, H, W, C), turn vectors into floats by array.astype(np.float32)",
    "b": "images: array.astype(np.uint8) * 255, vectors: array.astype(np.float32)",
    "i": "images in 0..255: array.astype(np.uint8), vectors: array.astype(np.float32)",
    "u": "images in 0..255: array.astype(np.uint8), vectors: array.astype(np.float32)",
    "f": "a single observation needs an axis in front, array[None]",
    "O": "stack observations of one shape by np.stack(list(array))",
}


def evenly_spaced(total: int, count: int) -> Array:
    """Return up to ``count`` positions in ``range(total)``, the middles of equal stretches."""
    count = min(count, total)
    positions: Array = ((np.arange(count) + 0.5) * total / max(count, 1)).astype(int)
    return positions


class Frames:
    """Observations by index, ``(B, *space.shape)``, read when asked for; never all in memory.

    ``frames[array_of_indices]`` reads a batch. ``frames.split()`` gives a training and a validation
    part that share no episode.
    """

    def __init__(
        self,
        space: spaces.Box,
        sources: Sequence[Source],
        episodes: Array,
        steps: Array | None = None,
        indices: Array | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Join ``sources`` end to end; use ``Frames.open`` or ``as_frames`` rather than this.

        Args:
            space: space of one observation.
            sources: observations, read in this order.
            episodes: number of the episode of each observation, ``(N,)``.
            steps: one record an observation (action, reward, ends), ``(N,)``, where known.
            indices: positions that this view shows; None shows all.
            metadata: where the observations come from.
        """
        self.space = space
        self.metadata = metadata or {}
        self._sources = list(sources)
        self._starts = np.cumsum([0, *map(len, sources)])
        self._episodes, self._steps = episodes, steps
        self.indices = np.arange(self._starts[-1]) if indices is None else indices

    @classmethod
    def open(cls, path: str | Path) -> Frames:
        """Open the store that ``collect`` wrote.

        Raises:
            FileNotFoundError: there is no store.
            ValueError: the store is damaged or of a newer format.
        """
        path = Path(path)
        manifest = read_manifest(path)
        space = space_from_json(manifest["observation"])
        record = step_dtype(manifest["action"])
        shards = [Shard(path, shard["name"], space, record) for shard in manifest["shards"]]
        steps = (
            np.concatenate([shard.steps() for shard in shards]) if shards else np.empty(0, record)
        )
        return cls(
            space,
            [s.observations() for s in shards],
            episode_numbers(shards),
            steps,
            metadata=manifest,
        )

    def __len__(self) -> int:
        """Return the number of observations in this view."""
        return len(self.indices)

    def __getitem__(self, index: Any) -> Array:
        """Return a fresh array of the observations at ``index``: an int, a slice or an array."""
        chosen = self.indices[index]
        flat = np.atleast_1d(chosen)
        out = np.empty((len(flat), *self.space.shape), self.space.dtype)
        which = np.searchsorted(self._starts, flat, side="right") - 1
        for number in np.unique(which):
            mask = which == number
            out[mask] = self._sources[number][flat[mask] - self._starts[number]]
        return out if np.ndim(chosen) else out[0]

    @property
    def episodes(self) -> Array:
        """The episode number of each observation, ``(N,)``."""
        return self._episodes[self.indices]

    @property
    def steps(self) -> Array:
        """The record of each observation: action, reward, terminated, truncated, env, episode.

        Raises:
            ValueError: these observations came without records.
        """
        if self._steps is None:
            raise ValueError("these frames are bare observations: they have no actions or rewards")
        return self._steps[self.indices]

    def batches(self, size: int = CHUNK) -> Iterator[Array]:
        """Yield all observations in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def subset(self, indices: Array) -> Frames:
        """Return a view of some of these observations."""
        return Frames(
            self.space,
            self._sources,
            self._episodes,
            self._steps,
            self.indices[indices],
            self.metadata,
        )

    def distinct(self) -> Frames:
        """Return a view in which equal observations come once, the first of them; reads them in
        pieces.
        """
        first: dict[bytes, int] = {}
        for start in range(0, len(self), CHUNK):
            for i, observation in enumerate(self[start : start + CHUNK], start):
                first.setdefault(hashlib.blake2b(observation.tobytes(), digest_size=16).digest(), i)
        return self.subset(np.array([*first.values()], int))

    def split(self, validation: float = 0.1, seed: int = 0) -> tuple[Frames, Frames]:
        """Split by episode into training and validation; both get at least one episode.

        A single episode is cut in two, the later part being for validation.

        Args:
            validation: share of the episodes to hold out, between 0 and 1.
            seed: which episodes.

        Raises:
            ValueError: there are fewer than two observations, or the share is not between 0 and 1.
        """
        if not 0 < validation < 1:
            raise ValueError(f"validation is a share between 0 and 1, got {validation}")
        if len(self) < 2:
            raise ValueError(f"training and validation need at least 2 frames, got {len(self)}")
        episodes = self.episodes
        names = np.unique(episodes)
        if len(names) == 1:
            cut = min(len(self) - 1, max(1, round(len(self) * (1 - validation))))
            held_out = np.arange(len(self)) >= cut
        else:
            count = min(len(names) - 1, max(1, round(len(names) * validation)))
            held_out = np.isin(episodes, np.random.default_rng(seed).permutation(names)[:count])
        return self.subset(np.flatnonzero(~held_out)), self.subset(np.flatnonzero(held_out))

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the sizes and of 64 evenly spaced observations."""
        chosen = np.linspace(0, len(self) - 1, min(64, len(self))).astype(int)
        digest = hashlib.sha256(f"{len(self)} {describe_space(self.space)}".encode())
        digest.update(self[chosen].tobytes())
        return digest.hexdigest()[:16]


def as_frames(source: Frames | Array | str | Path) -> Frames:
    """Open observations from whatever holds them.

    uint8 observations are images, ``(H, W)`` or ``(H, W, C)`` in 0..255. Floats of shape ``(D,)``
    are vectors, ``(T, D)`` sequences and ``(H, W, C)`` images in [0, 1]; they are read as float32.

    Args:
        source: Frames, an array ``(N, *shape)``, or a path: a store made by ``collect``; an
            ``.npy`` file; an ``.npz`` (the array called ``observations``, or the only one that is
            not ``labels`` or ``factors``); an IDX file such as MNIST's, also gzipped; an image; or
            a folder of images and of folders of them, which ``ImageFolder`` brings to one size.

    Raises:
        FileNotFoundError: nothing is there.
        TypeError: ``source`` is none of these.
        ValueError: what is there holds no observations, or of a type or shape that has no meaning
            here.
    """
    if isinstance(source, Frames):
        return source
    if isinstance(source, np.ndarray):
        return _bare(source, "an array")
    if not isinstance(source, str | PathLike):
        raise TypeError(
            f"expected Frames, a NumPy array or a path, got {type(source).__name__}; try np.asarray"
        )
    path = Path(source)
    return (
        Frames.open(path)
        if (path / "manifest.json").exists()
        else _bare(open_source(path), str(path))
    )


def _bare(source: Source, where: str) -> Frames:
    if len(source.shape) == 1 and source.dtype.kind in "iu":
        raise ValueError(
            f"{where} holds labels, not observations: {EXPECTED}; for labels there is read_labels"
        )
    if 0 in source.shape:
        raise ValueError(f"{where} of shape {source.shape} is empty: {EXPECTED}, N >= 1")
    return Frames(
        _space_of(source, where), [source], np.arange(len(source)), metadata={"source": where}
    )


def _space_of(source: Source, where: str) -> spaces.Box:
    shape, dtype = source.shape[1:], source.dtype
    if dtype == np.uint8 and len(shape) in (2, 3):
        return as_space(shape)
    if dtype.kind == "f" and len(shape) in (1, 2):
        return spaces.Box(-np.inf, np.inf, shape, np.float32)
    if dtype.kind == "f" and len(shape) == 3:
        _check_range(source, where)
        return spaces.Box(0, 1, shape, np.float32)
    remedy = REMEDIES.get(dtype.name, REMEDIES.get(dtype.kind, "convert them to numbers"))
    raise ValueError(f"{where} holds {dtype} of shape {source.shape}: {EXPECTED}; {remedy}")


def _check_range(images: Any, where: str) -> None:
    low, high = images.min(), images.max()
    if low < 0 or high > 1:
        raise ValueError(
            f"float images must lie in [0, 1], those of {where} go from {low:g} to {high:g}; for 0..255 use uint8"
        )


def check_learnable(frames: Frames) -> None:
    """Refuse observations that no model can learn from; reads them in pieces, and no more than it
    must.

    Raises:
        ValueError: some observation holds NaN or infinity, or all are the same.
    """
    if len(frames) < 2:
        return  # ``Frames.split`` says that these are too few
    first, same, floats = frames[0], True, frames.space.dtype.kind == "f"
    step = max(1, CHUNK_BYTES // first.nbytes)
    for start in range(0, len(frames), step):
        chunk = frames[start : start + step]
        if floats:
            _check_finite(chunk, start)
        same = same and bool((chunk == first).all())
        if not same and not floats:
            return
    if same:
        raise ValueError(
            f"all {len(frames)} observations are identical: there is nothing to learn; look at what wrote them"
        )


def _check_finite(chunk: Array, start: int) -> None:
    bad = ~np.isfinite(chunk).reshape(len(chunk), -1).all(1)
    if bad.any():
        raise ValueError(
            f"frames contain NaN or infinity, first in observation {start + bad.argmax()}; repair or drop such ones"
        )
