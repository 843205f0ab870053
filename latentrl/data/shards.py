"""Shards of a frame store: two append-only files and a description, checked before use."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces

from latentrl.types import Array, dtype_from_json, shape_from_json, shorten
from latentrl.utils.decoding import Between, decode
from latentrl.utils.io import check_file, read_json

KINDS = ("observations", "steps")
"""Files of a shard, ``NAME.KIND.bin``."""
NAME = re.compile(r"[0-9]{1,9}", re.ASCII)
"""Names of shards: nothing that leads to another folder."""
CHUNK_BYTES = 2**20
MAPPED = 64
"""Shards of a store that stay open; a process may open as few as 256 files."""


@dataclass(frozen=True)
class ShardDescription:
    """What ``NAME.json`` holds."""

    origin: Mapping[str, Any]
    """What made the frames: seed and policy."""
    frames: Annotated[int, Between(0, 2**53)] | None = None
    """Number of frames; None until the writer is closed, and for ever where it was killed."""
    crc32: Mapping[str, int] = field(default_factory=dict)
    """Checksum of each file, by its kind; empty until the writer is closed."""


def step_dtype(
    action: Mapping[str, Any], final: bool = True, factors: Sequence[str] = ()
) -> np.dtype[Any]:
    """Record of one observation, for actions that ``describe_action`` described.

    ``action``, ``reward``, ``terminated`` and ``truncated`` belong to the step that was taken from
    the observation. ``final`` marks a terminal observation, which no step was taken from: its other
    fields are 0. ``env`` and ``episode`` are numbers that are unique within a shard. ``factors``
    are the known factors of the observation, NaN where they are unknown.

    Args:
        action: shape and dtype of an action.
        final: whether records have the field of this name, which format 1 lacks.
        factors: names of the known factors; without any, records have no such field.

    Raises:
        ValueError: the description is damaged.
    """
    fields: list[Any] = [
        ("action", dtype_from_json(action.get("dtype")), shape_from_json(action.get("shape"))),
        ("reward", "f4"),
        ("terminated", "?"),
        ("truncated", "?"),
        ("env", "i4"),
        ("episode", "i4"),
    ]
    fields += [("final", "?")] if final else []
    return np.dtype([*fields, ("factors", "f4", (len(factors),))] if factors else fields)


@dataclass(frozen=True)
class Layout:
    """Folder, and bytes of a frame, of all shards of a store."""

    folder: Path
    """Folder of the store."""
    space: spaces.Box
    """Space of one observation."""
    record: np.dtype[Any]
    """Type of one record on disk."""

    def frame_bytes(self, kind: str) -> int:
        """Return the bytes that one frame takes in a file of this kind."""
        if kind == "steps":
            return self.record.itemsize
        return int(np.prod(self.space.shape)) * np.dtype(self.space.dtype).itemsize

    def path(self, name: str, ending: str) -> Path:
        """Return the path of a file of a shard, such as ``"000"`` and ``"steps.bin"``."""
        return self.folder / f"{name}.{ending}"

    def existing(self, name: str, ending: str) -> Path:
        """Return the path of a file that is there, and inside the folder.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: it is a link out of the folder, or no regular file.
        """
        path = self.path(name, ending)
        check_file(path)
        if path.resolve().parent != self.folder.resolve():
            raise ValueError(f"{path} is a link out of its store: put a copy of the file there")
        return path


@dataclass(frozen=True)
class Shard:
    """Two append-only files, as they are at one moment: observations, and a record for each."""

    layout: Layout
    """Where the files are, and what is in them."""
    name: str
    """Name of the shard, which its files start with."""
    frames: int
    """Number of whole frames."""
    description: ShardDescription
    """Origin and checksums."""

    @classmethod
    def open(cls, layout: Layout, name: str, description: ShardDescription) -> Shard:
        """Count the frames of a shard.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is shorter or longer than its writer left it.
        """
        sizes = {kind: layout.existing(name, f"{kind}.bin").stat().st_size for kind in KINDS}
        expected = description.frames
        for kind, size in sizes.items():
            if expected is not None and size != expected * layout.frame_bytes(kind):
                raise ValueError(
                    f"{layout.path(name, f'{kind}.bin')} is damaged: {expected} frames take "
                    f"{expected * layout.frame_bytes(kind)} bytes, it has {size}"
                )
        # A writer that was killed can leave half a frame, or an observation without its record.
        whole = min(size // layout.frame_bytes(kind) for kind, size in sizes.items())
        return cls(layout, name, whole, description)

    def observations(self) -> Array:
        """Memory-mapped observations, ``(N, *shape)``."""
        return self._map("observations", self.layout.space.dtype, self.layout.space.shape)

    def steps(self) -> Array:
        """Memory-mapped records, ``(N,)``."""
        return self._map("steps", self.layout.record, ())

    def _map(self, kind: str, dtype: Any, shape: tuple[int, ...]) -> Array:
        if self.frames == 0:
            return np.empty((0, *shape), dtype)
        file = self.layout.existing(self.name, f"{kind}.bin")
        return np.memmap(file, dtype, "r", shape=(self.frames, *shape))

    def verify(self) -> None:
        """Compare the files with the checksums of their writer; a killed one left none.

        Raises:
            ValueError: a file has changed.
        """
        for kind, expected in self.description.crc32.items():
            path = self.layout.existing(self.name, f"{kind}.bin")
            if _checksum(path) != expected:
                raise ValueError(f"{path} is damaged: it does not match its checksum")


class ReopenedShard:
    """Observations of a shard of a store that has too many to keep open: open only while read."""

    def __init__(self, shard: Shard) -> None:
        """Read ``shard`` by positions."""
        self.shard = shard

    def __len__(self) -> int:
        """Return the number of observations."""
        return self.shard.frames

    def __getitem__(self, index: Any) -> Array:
        """Return the observations at ``index``."""
        return np.array(self.shard.observations()[index])


def observations_of(shards: Sequence[Shard]) -> list[Array | ReopenedShard]:
    """Return the observations of each shard, ``(N, *shape)``, memory-mapped or reopened."""
    if len(shards) > MAPPED:
        return [ReopenedShard(shard) for shard in shards]
    return [shard.observations() for shard in shards]


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            total = zlib.crc32(chunk, total)
    return total


def open_shards(layout: Layout, listed: Sequence[Mapping[str, Any]] | None) -> list[Shard]:
    """Open the shards of a store, in the order in which they were started.

    Args:
        layout: folder and types.
        listed: names and origins from the manifest of format 1 or 2; None for those in the folder.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file or a description is damaged.
    """
    descriptions = _in_folder(layout) if listed is None else _in_manifest(listed)
    return [Shard.open(layout, name, description) for name, description in descriptions]


def _in_folder(layout: Layout) -> Iterator[tuple[str, ShardDescription]]:
    names = {path.stem for path in layout.folder.glob("*.json")}
    # Frames whose description was lost are an error, not fewer frames; a writer that was killed
    # before it had one wrote no frames.
    files = layout.folder.glob("*.observations.bin")
    names |= {path.name.partition(".")[0] for path in files if path.lstat().st_size}
    for name in sorted((name for name in names if NAME.fullmatch(name)), key=int):
        path = layout.existing(name, "json")
        description: ShardDescription = decode(ShardDescription, read_json(path), str(path))
        if not description.crc32.keys() <= {*KINDS}:
            raise ValueError(f"crc32 of {path} has other keys than {', '.join(KINDS)}")
        yield name, description


def _in_manifest(
    listed: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, ShardDescription]]:
    names = set()
    for shard in listed:
        name = shard.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in names:
            raise ValueError(f"a shard has digits of its own as its name, got {shorten(name)}")
        names.add(name)
        origin = {key: value for key, value in shard.items() if key != "name"}
        yield name, ShardDescription(origin)


def join_steps(
    shards: Sequence[Shard], action: Mapping[str, Any], factors: Sequence[str] = ()
) -> Array:
    """Records of all shards in the current format, ``(N,)``; arguments as of ``step_dtype``."""
    total = sum(shard.frames for shard in shards)
    records = np.zeros(total, step_dtype(action, factors=factors))
    end = 0
    for shard in shards:  # one open file at a time
        steps = shard.steps()
        start, end = end, end + len(steps)
        # NumPy assigns whole records by position; by name, a field that format 1 lacks stays 0.
        for name in steps.dtype.names or ():
            records[name][start:end] = steps[name]
    return records


def episode_numbers(shards: Sequence[Shard]) -> Array:
    """Episode of each observation, numbered across all shards without reuse, ``(N,)``."""
    offset, numbers = 0, [np.empty(0, np.int64)]
    for shard in shards:
        episodes = shard.steps()["episode"].astype(np.int64)
        numbers.append(episodes + offset)
        offset += int(episodes.max(initial=-1)) + 1
    return np.concatenate(numbers)
