"""The frame store: a manifest, and a shard of two append-only files per run of ``collect``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from latentrl.types import Array, space_to_json
from latentrl.utils.io import read_json, write_json
from latentrl.utils.settings import check_same_settings

FORMAT = 2
"""Format that is written. Format 1 has no terminal observations and no field ``final``."""


def step_dtype(action: dict[str, Any], version: int = FORMAT) -> np.dtype[Any]:
    """Record of one observation, for actions that ``describe_action`` described.

    ``action``, ``reward``, ``terminated`` and ``truncated`` belong to the step that was taken from
    the observation. ``final`` marks a terminal observation, which no step was taken from: its other
    fields are 0. ``env`` and ``episode`` are numbers that are unique within a shard.
    """
    fields: list[Any] = [
        ("action", action["dtype"], tuple(action["shape"])),
        ("reward", "f4"),
        ("terminated", "?"),
        ("truncated", "?"),
        ("env", "i4"),
        ("episode", "i4"),
    ]
    return np.dtype(fields if version == 1 else [*fields, ("final", "?")])


def has_store(path: Path) -> bool:
    """Return whether there is a frame store at ``path``."""
    return (path / "manifest.json").exists()


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and check the manifest of a store; errors as in ``Frames.open``."""
    file = path / "manifest.json"
    if not has_store(path):
        raise FileNotFoundError(f"no frame store at {path}: it has no manifest.json")
    manifest: dict[str, Any] = read_json(file)
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ValueError(f"{file} was not written by latentrl")
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"{path} has frame format {manifest['format']}, this version reads up to {FORMAT}: "
            "update latentrl"
        )
    return manifest


@dataclass(frozen=True)
class Shard:
    """Two append-only files: raw observations, and one record per observation."""

    folder: Path
    """Folder of the store."""
    name: str
    """Name of the shard, which its files start with."""
    space: spaces.Box
    """Space of one observation."""
    record: np.dtype[Any]
    """Type of one record on disk."""

    def file(self, kind: str) -> Path:
        """Path of the file of this kind, ``"observations"`` or ``"steps"``."""
        return self.folder / f"{self.name}.{kind}.bin"

    @property
    def frame_bytes(self) -> int:
        """Size of one observation in bytes."""
        return int(np.prod(self.space.shape)) * np.dtype(self.space.dtype).itemsize

    def __len__(self) -> int:
        """Return the number of whole frames."""
        if not self.file("steps").exists():
            return 0
        # A writer that was killed can leave half a frame, or an observation without its record.
        frames = self.file("observations").stat().st_size // self.frame_bytes
        return int(min(frames, self.file("steps").stat().st_size // self.record.itemsize))

    def observations(self) -> Array:
        """Memory-mapped observations, ``(N, *shape)``."""
        return self._map("observations", self.space.dtype, self.space.shape)

    def steps(self) -> Array:
        """Memory-mapped records, ``(N,)``."""
        return self._map("steps", self.record, ())

    def _map(self, kind: str, dtype: Any, shape: tuple[int, ...]) -> Array:
        if len(self) == 0:
            return np.empty((0, *shape), dtype)
        return np.memmap(self.file(kind), dtype, "r", shape=(len(self), *shape))


def open_shards(path: Path, manifest: dict[str, Any], space: spaces.Box) -> list[Shard]:
    """List the shards of the store at ``path``, in the order in which they were written."""
    record = step_dtype(manifest["action"], manifest["format"])
    return [Shard(path, shard["name"], space, record) for shard in manifest["shards"]]


def join_steps(shards: Sequence[Shard], action: dict[str, Any]) -> Array:
    """Records of all shards in the current format, ``(N,)``."""
    stored = [shard.steps() for shard in shards]
    records = np.zeros(sum(map(len, stored)), step_dtype(action))
    if stored:
        # NumPy assigns whole records by position; by name, a field that format 1 lacks stays 0.
        for name in stored[0].dtype.names or ():
            records[name] = np.concatenate([steps[name] for steps in stored])
    return records


def episode_numbers(shards: Sequence[Shard]) -> Array:
    """Episode of each observation, numbered across all shards without reuse, ``(N,)``."""
    offset, numbers = 0, [np.empty(0, np.int64)]
    for shard in shards:
        episodes = shard.steps()["episode"].astype(np.int64)
        numbers.append(episodes + offset)
        offset += int(episodes.max(initial=-1)) + 1
    return np.concatenate(numbers)


def describe_action(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe the actions of ``space`` in JSON: shape and dtype."""
    return {"shape": list(space.shape or ()), "dtype": np.dtype(space.dtype).name}


def check_same(
    path: Path, space: spaces.Box, action_space: spaces.Space[Any], environment: dict[str, Any]
) -> None:
    """Check that the store at ``path``, if there is one, holds frames of this environment.

    Raises:
        ValueError: the spaces or the environment differ.
    """
    if not has_store(path):
        return
    manifest = read_manifest(path)
    given = {
        "observation": space_to_json(space),
        "action": describe_action(action_space),
        "environment": environment,
    }
    saved = {name: manifest[name] for name in given}
    check_same_settings(saved, given, f"the frame store {path}", "use another path")


class FrameWriter:
    """Appends one shard to a store; a kill at any moment loses at most the last batch."""

    def __init__(
        self,
        path: str | Path,
        space: spaces.Box,
        action_space: spaces.Space[Any],
        environment: dict[str, Any],
        **origin: Any,
    ) -> None:
        """Create the store, or add a shard to it.

        Args:
            path: folder of the store.
            space: space of one observation.
            action_space: space of one action.
            environment: description of the environment, in JSON.
            **origin: description of this shard (seed, policy), in JSON.

        Raises:
            ValueError: the store there is of another environment, or of an older format.
        """
        path = Path(path)
        check_same(path, space, action_space, environment)
        action = describe_action(action_space)
        new = _new_manifest(space, action, environment)
        manifest = read_manifest(path) if has_store(path) else new
        if manifest["format"] < FORMAT:
            raise ValueError(
                f"{path} has frame format {manifest['format']}, which has no terminal observations "
                "and can only be read: collect into another path"
            )
        path.mkdir(parents=True, exist_ok=True)
        self._record = step_dtype(action)
        self._dtype = space.dtype
        name, self._files = _new_shard(path, space, self._record)
        manifest["shards"].append({"name": name, **origin})
        write_json(path / "manifest.json", manifest)

    def append(self, observations: Array, **fields: Array) -> None:
        """Append a batch.

        Args:
            observations: ``(B, *shape)``.
            **fields: fields of the records, ``(B, ...)`` or one value for all; the rest are 0.

        Raises:
            OSError: the disk is full.
        """
        steps = np.zeros(len(observations), self._record)
        for name, values in fields.items():
            steps[name] = values
        _write_whole(self._files[0], np.ascontiguousarray(observations, self._dtype).data)
        _write_whole(self._files[1], steps.tobytes())

    def __enter__(self) -> FrameWriter:
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _write_whole(file: FileIO, data: bytes | memoryview) -> None:
    # A nearly full disk takes the first bytes alone, and frames appended later would be shifted.
    if file.write(data) != memoryview(data).nbytes:
        raise OSError(f"{file.name} could not be written as a whole: the disk is full")


def _new_manifest(
    space: spaces.Box, action: dict[str, Any], environment: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "observation": space_to_json(space),
        "action": action,
        "environment": environment,
        "versions": {"python": platform.python_version(), "gymnasium": gym.__version__},
        "shards": [],
    }


def _new_shard(path: Path, space: spaces.Box, record: np.dtype[Any]) -> tuple[str, list[FileIO]]:
    number = 0
    while True:
        shard = Shard(path, f"{number:03d}", space, record)
        try:  # exclusively, so that two writers at once get a shard each
            files = [shard.file(kind).open("xb", buffering=0) for kind in ("observations", "steps")]
        except FileExistsError:
            number += 1
            continue
        return shard.name, files
