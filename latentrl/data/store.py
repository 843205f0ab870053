"""The frame store: a manifest that never changes, and a shard per run of ``collect``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from latentrl.data.shards import (
    KINDS,
    NAME,
    Layout,
    Shard,
    ShardDescription,
    open_shards,
    step_dtype,
)
from latentrl.types import Array, space_from_json, space_to_json
from latentrl.utils.decoding import decode
from latentrl.utils.io import read_json, write_json, write_new
from latentrl.utils.settings import check_same_settings

FORMAT = 4
"""Format that is written. Format 1 has no terminal observations; the manifests of formats 1 and 2
list the shards, each of which has a description of its own since; format 4 has known factors."""
EXTENDED = 3
"""Oldest format that is extended: without factors format 4 is the same."""


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` has to hold; more is kept as it is."""

    format: int
    """Version of the store."""
    observation: Mapping[str, Any]
    """Space of one observation, as ``space_to_json`` describes it."""
    action: Mapping[str, Any]
    """Shape and dtype of one action."""
    environment: Mapping[str, Any]
    """Description of the environment."""
    factors: Sequence[str] = ()
    """Names of the known factors in the records."""
    shards: Sequence[Mapping[str, Any]] = field(default_factory=list)
    """Names and origins of the shards, in formats 1 and 2."""


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
    version = decode(int, manifest["format"], f"format in {file}")
    if version > FORMAT:
        raise ValueError(
            f"{path} has frame format {version}, this version reads up to {FORMAT}: update latentrl"
        )
    _check_manifest(manifest, str(file))
    return manifest


def _check_manifest(manifest: Mapping[str, Any], where: str) -> None:
    known = {item.name for item in dataclasses.fields(Manifest)}
    decode(Manifest, {key: value for key, value in manifest.items() if key in known}, where)
    try:
        decode(str, manifest["environment"].get("id", ""), "the environment's id")
        space_from_json(manifest["observation"])
        step_dtype(manifest["action"])
    except ValueError as error:
        raise ValueError(f"{where} is damaged: {error}") from error


def open_store(path: Path) -> tuple[dict[str, Any], list[Shard]]:
    """Return the manifest of a store, and all its shards.

    The manifest has the names and origins of the shards with frames. A call that failed before its
    first frame leaves an empty one, whose origin says nothing of the frames.

    Raises:
        FileNotFoundError: there is no store, or a file of a shard is missing.
        ValueError: the store is damaged or of a newer format.
    """
    manifest = read_manifest(path)
    names = manifest.get("factors", ())
    record = step_dtype(manifest["action"], manifest["format"] > 1, names)
    layout = Layout(path, space_from_json(manifest["observation"]), record)
    listed = manifest.get("shards", []) if manifest["format"] < EXTENDED else None
    shards = open_shards(layout, listed)
    origins = [{"name": shard.name, **shard.description.origin} for shard in shards if shard.frames]
    return {**manifest, "shards": origins}, shards


def describe_action(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe the actions of ``space`` in JSON: shape and dtype.

    Raises:
        ValueError: actions are no arrays of numbers.
    """
    if space.shape is None or space.dtype is None:
        raise ValueError(
            f"frames are stored with actions of one shape and type, not with those of {space}: "
            "wrap the environment so that it has Box, Discrete, MultiDiscrete or MultiBinary ones"
        )
    return {"shape": list(space.shape), "dtype": np.dtype(space.dtype).name}


def check_same(
    path: Path, space: spaces.Box, action_space: spaces.Space[Any], environment: dict[str, Any]
) -> None:
    """Check that the store at ``path``, if there is one, holds frames of this environment.

    Raises:
        ValueError: the spaces or the environment differ, or frames there have lost their manifest.
    """
    if not has_store(path):
        _check_no_frames(path)
        return
    manifest = read_manifest(path)
    given = {
        "observation": space_to_json(space),
        "action": describe_action(action_space),
        "action_space": str(action_space),
        "environment": environment,
    }
    # Stores of earlier versions do not name the action space.
    saved = {name: manifest.get(name, given[name]) for name in given}
    check_same_settings(saved, given, f"the frame store {path}", "use another path, or remove it")


def _check_no_frames(path: Path) -> None:
    """Check that no frames at ``path``, which has no manifest, would get that of other ones."""
    names = [file.name for file in path.glob("*.observations.bin") if file.lstat().st_size]
    shards = sorted(name for name in names if NAME.fullmatch(name.partition(".")[0]))
    # Another writer, which has started in the meantime, makes the manifest first.
    if shards and not has_store(path):
        raise ValueError(
            f"{path} has frames, such as {shards[0]}, and no manifest.json, which says of which "
            "environment they are: put a copy of that file back, use another path, or remove the "
            "folder"
        )


class FrameWriter:
    """Appends one shard to a store; a kill at any moment loses at most the last batch.

    Several writers may append to one store at the same time, each to a shard of its own, which
    ``number`` names.
    """

    def __init__(
        self,
        path: str | Path,
        space: spaces.Box,
        action_space: spaces.Space[Any],
        environment: dict[str, Any],
        factors: Sequence[str] = (),
        **origin: Any,
    ) -> None:
        """Create the store, or add a shard to it.

        Args:
            path: folder of the store.
            space: space of one observation.
            action_space: space of one action.
            environment: description of the environment, in JSON.
            factors: names of the known factors in its records; a store that is there keeps its own.
            **origin: description of this shard (seed, policy), in JSON.

        Raises:
            ValueError: the store there is of another environment or of an older format, or has lost
                its manifest.
            OSError: the disk is full or cannot be written.
        """
        path = Path(path)
        manifest = _new_manifest(space, action_space, environment, factors)
        if not has_store(path):
            _check_no_frames(path)
            write_new(path / "manifest.json", _to_bytes(manifest))
        # Of a store that was there, or that another writer has made in the meantime.
        check_same(path, space, action_space, environment)
        _check_format(path)
        self.factors = tuple(read_manifest(path).get("factors", ()))
        self._dtype = space.dtype
        record = step_dtype(manifest["action"], factors=self.factors)
        self._layout = Layout(path, space, record)
        self._origin = origin
        self.number, self._files = _new_shard(self._layout, origin)
        self._name = _name_of(self.number)
        self._frames = 0
        self._crc32 = dict.fromkeys(KINDS, 0)

    def append(self, observations: Array, **fields: Array) -> None:
        """Append a batch.

        Args:
            observations: ``(B, *shape)``.
            **fields: fields of the records, ``(B, ...)`` or one value for all; the rest are 0.

        Raises:
            OSError: the disk is full.
        """
        steps = np.zeros(len(observations), self._layout.record)
        for name, values in fields.items():
            steps[name] = values
        frames = np.ascontiguousarray(observations, self._dtype)
        for kind, array in zip(KINDS, (frames, steps), strict=True):
            data = array.reshape(-1).view(np.uint8).data
            _write_whole(self._files[kind], data)
            self._crc32[kind] = zlib.crc32(data, self._crc32[kind])
        self._frames += len(observations)

    def __enter__(self) -> FrameWriter:
        """Return the writer."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Close the files, and note their length and their checksums."""
        with contextlib.ExitStack() as open_files:
            for file in self._files.values():
                open_files.enter_context(file)
            # Of two errors the first is the cause, such as a full disk.
            with contextlib.nullcontext() if error is None else contextlib.suppress(OSError):
                self._describe()

    def _describe(self) -> None:
        sizes = {
            kind: self._layout.path(self._name, f"{kind}.bin").stat().st_size for kind in KINDS
        }
        whole = {kind: self._frames * self._layout.frame_bytes(kind) for kind in KINDS}
        # Part of a batch, as an error or Ctrl-C can leave it, has no place in the checksums: the
        # shard is then read as that of a killed writer.
        if sizes == whole:
            # A power cut must not leave checksums of frames that never reached the disk.
            for file in self._files.values():
                os.fsync(file.fileno())
            done = ShardDescription(self._origin, self._frames, self._crc32)
            write_json(self._layout.path(self._name, "json"), dataclasses.asdict(done))


def _write_whole(file: FileIO, data: memoryview) -> None:
    # A nearly full disk takes the first bytes alone, and frames appended later would be shifted.
    if file.write(data) != data.nbytes:
        raise OSError(f"{file.name} could not be written as a whole: the disk is full")


def _new_manifest(
    space: spaces.Box,
    action_space: spaces.Space[Any],
    environment: dict[str, Any],
    factors: Sequence[str],
) -> dict[str, Any]:
    manifest = {
        "format": FORMAT,
        "observation": space_to_json(space),
        "action": describe_action(action_space),
        "action_space": str(action_space),
        "environment": environment,
        "factors": list(factors),
        "versions": {"python": platform.python_version(), "gymnasium": gym.__version__},
    }
    _check_manifest(manifest, "the manifest of these frames")
    return manifest


def _check_format(path: Path) -> None:
    version = read_manifest(path)["format"]
    if version < EXTENDED:
        raise ValueError(
            f"{path} has frame format {version}, which can only be read: collect into another path"
        )


def _name_of(number: int) -> str:
    return f"{number:03d}"


def _new_shard(layout: Layout, origin: Mapping[str, Any]) -> tuple[int, dict[str, FileIO]]:
    description = _to_bytes(dataclasses.asdict(ShardDescription(origin)))
    number = 0
    while True:
        name = _name_of(number)
        try:  # exclusively, so that two writers at once get a shard each
            files = {
                kind: layout.path(name, f"{kind}.bin").open("xb", buffering=0) for kind in KINDS
            }
        except FileExistsError:
            number += 1
            continue
        # Last: a shard that has a description has both files, and a kill before leaves no shard.
        write_new(layout.path(name, "json"), description)
        return number, files


def _to_bytes(data: Any) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()
