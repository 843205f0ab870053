"""The frame store: a manifest, and for each run of ``collect`` a shard of two append-only files."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from latentrl.types import Array, space_to_json
from latentrl.utils.io import read_json, write_json

FORMAT = 1


def step_dtype(action: dict[str, Any]) -> np.dtype[Any]:
    """Return the record kept beside each observation, for actions described by ``action``."""
    fields = [
        ("action", action["dtype"], tuple(action["shape"])),
        ("reward", "f4"),
        ("terminated", "?"),
        ("truncated", "?"),
        ("env", "i4"),
        ("episode", "i4"),
    ]
    return np.dtype(fields)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and check a store's manifest; errors as in ``Frames.open``."""
    file = path / "manifest.json"
    if not file.exists():
        raise FileNotFoundError(f"no frame store at {path}: it has no manifest.json")
    manifest: dict[str, Any] = read_json(file)
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ValueError(f"{file} was not written by latentrl")
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"{path} has frame format {manifest['format']}, this version reads up to {FORMAT}: update latentrl"
        )
    return manifest


@dataclass(frozen=True)
class Shard:
    """Two append-only files: raw observations, and one record for each."""

    folder: Path
    name: str
    space: spaces.Box
    record: np.dtype[Any]

    def file(self, kind: str) -> Path:
        """Return the path of the ``observations`` or the ``steps``."""
        return self.folder / f"{self.name}.{kind}.bin"

    @property
    def frame_bytes(self) -> int:
        """Size of one observation in bytes."""
        return int(np.prod(self.space.shape)) * np.dtype(self.space.dtype).itemsize

    def __len__(self) -> int:
        """Return the number of whole frames: a writer that was killed may leave half of one."""
        if not self.file("steps").exists():
            return 0
        frames = self.file("observations").stat().st_size // self.frame_bytes
        return int(min(frames, self.file("steps").stat().st_size // self.record.itemsize))

    def observations(self) -> Array:
        """Return the memory-mapped observations, ``(N, *shape)``."""
        return self._map("observations", self.space.dtype, self.space.shape)

    def steps(self) -> Array:
        """Return the memory-mapped records, ``(N,)``."""
        return self._map("steps", self.record, ())

    def _map(self, kind: str, dtype: Any, shape: tuple[int, ...]) -> Array:
        if len(self) == 0:
            return np.empty((0, *shape), dtype)
        return np.memmap(self.file(kind), dtype, "r", shape=(len(self), *shape))


def episode_numbers(shards: Sequence[Shard]) -> Array:
    """Number the episodes of all shards, without reusing a number, ``(N,)``."""
    offset, parts = 0, [np.empty(0, np.int64)]
    for shard in shards:
        episodes = shard.steps()["episode"].astype(np.int64)
        parts.append(episodes + offset)
        offset += int(episodes.max(initial=-1)) + 1
    return np.concatenate(parts)


def describe_action(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe actions in JSON: shape and dtype."""
    return {"shape": list(space.shape or ()), "dtype": np.dtype(space.dtype).name}


def check_same(
    path: Path, space: spaces.Box, action_space: spaces.Space[Any], environment: dict[str, Any]
) -> None:
    """Raise ``ValueError`` where a store at ``path`` holds other frames than these; none is
    fine.
    """
    if not (path / "manifest.json").exists():
        return
    manifest = read_manifest(path)
    expected = {
        "observation": space_to_json(space),
        "action": describe_action(action_space),
        "environment": environment,
    }
    for key, value in expected.items():
        if manifest[key] != value:
            raise ValueError(
                f"{path} holds frames with {key} {manifest[key]}, not {value}: use another path"
            )


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
        """Make the store, or add a shard to it.

        Args:
            path: the store's folder.
            space: space of one observation.
            action_space: space of one action.
            environment: what the frames come from, in JSON.
            **origin: what is particular to this shard (seed, policy), in JSON.

        Raises:
            ValueError: the store there holds other observations, or another environment's.
        """
        path = Path(path)
        check_same(path, space, action_space, environment)
        path.mkdir(parents=True, exist_ok=True)
        action = describe_action(action_space)
        self._record, self._dtype = step_dtype(action), space.dtype
        name, self._files = _new_shard(path, space, self._record)
        fresh: dict[str, Any] = {
            "format": FORMAT,
            "observation": space_to_json(space),
            "action": action,
            "environment": environment,
            "versions": {"python": platform.python_version(), "gymnasium": gym.__version__},
            "shards": [],
        }
        manifest = read_manifest(path) if (path / "manifest.json").exists() else fresh
        manifest["shards"].append({"name": name, **origin})
        write_json(path / "manifest.json", manifest)

    def append(self, observations: Array, **fields: Array) -> None:
        """Append a batch: ``observations (B, *shape)`` and each field of the record, ``(B,
        ...)``.
        """
        steps = np.empty(len(observations), self._record)
        for name, values in fields.items():
            steps[name] = values
        self._files[0].write(np.ascontiguousarray(observations, self._dtype).data)
        self._files[1].write(steps.tobytes())

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> FrameWriter:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.close()
