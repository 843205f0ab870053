"""Frames to learn from: an append-only store on disk, arrays, or a folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from gymnasium import spaces

from latentrl.store import Shard, episode_numbers, read_manifest, step_dtype
from latentrl.types import Array, as_space, describe_space, space_from_json

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


class Source(Protocol):
    """Observations that can be indexed by an array of positions."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, indices: Any) -> Array:
        """Return the observations at ``indices``."""


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
        steps = np.concatenate([shard.steps() for shard in shards]) if shards else np.empty(0, record)
        return cls(space, [s.observations() for s in shards], episode_numbers(shards), steps, metadata=manifest)

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

    def subset(self, indices: Array) -> Frames:
        """Return a view of some of these observations."""
        return Frames(self.space, self._sources, self._episodes, self._steps, self.indices[indices], self.metadata)

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

    Args:
        source: Frames, an array ``(N, *shape)``, or a path: a store made by ``collect``, an
            ``.npy`` or ``.npz`` file (its only array, or the one called ``observations``), or a
            folder of images.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there holds no observations.
    """
    if isinstance(source, Frames):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source, "an array")
    path = Path(source)
    if path.is_dir():
        return Frames.open(path) if (path / "manifest.json").exists() else _from_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"no frames at {path}: expected a store, a folder of images, .npy or .npz")
    if path.suffix == ".npy":
        return _from_array(np.load(path, mmap_mode="r", allow_pickle=False), str(path))
    if path.suffix == ".npz":
        return _from_array(_only_array(path), str(path))
    raise ValueError(f"{path} is not a kind of file that holds frames; known: .npy, .npz, a folder of images")


def _only_array(path: Path) -> Array:
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        name = "observations" if "observations" in names else names[0] if len(names) == 1 else None
        if name is None:
            raise ValueError(f"{path} holds {', '.join(names)}; name the one to use 'observations'")
        return np.asarray(archive[name])


def _from_array(array: Array, where: str) -> Frames:
    if array.ndim < 2 or len(array) == 0:
        raise ValueError(f"{where} of shape {array.shape} holds no observations; expected (N, *shape), N >= 1")
    return Frames(_space_of(array), [array], np.arange(len(array)), metadata={"source": where})


def _space_of(array: Array) -> spaces.Box:
    shape = array.shape[1:]
    if np.issubdtype(array.dtype, np.floating):
        low, high = (0.0, 1.0) if len(shape) == 3 else (-np.inf, np.inf)
        if len(shape) == 3 and (array.min() < 0 or array.max() > 1):
            raise ValueError("float images must lie in [0, 1]; for 0..255 use uint8")
        return spaces.Box(low, high, shape, np.float32)
    if array.dtype == np.uint8 and len(shape) in (2, 3):
        return as_space(shape)
    raise ValueError(f"expected uint8 images or float vectors, got {array.dtype} of shape {array.shape}")


class ImageFolder:
    """Images of a folder, decoded when asked for, at the size of the first one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Look at the first image to learn the size."""
        self.paths = list(paths)
        self.shape = _read_image(self.paths[0]).shape

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, indices: Any) -> Array:
        """Return RGB images ``(B, H, W, 3)``, uint8."""
        return np.stack([self._resized(self.paths[i]) for i in np.atleast_1d(indices)])

    def _resized(self, path: Path) -> Array:
        image, (height, width, _) = _read_image(path), self.shape
        if image.shape == self.shape:
            return image
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _read_image(path: Path) -> Array:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _from_folder(path: Path) -> Frames:
    paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"{path} holds neither a frame store nor images ({', '.join(IMAGE_SUFFIXES)})")
    folder = ImageFolder(paths)
    return Frames(as_space(folder.shape), [folder], np.arange(len(paths)), metadata={"source": str(path)})
