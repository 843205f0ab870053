"""The frame store: round trips, killed writers, older and newer formats, other environments."""

from __future__ import annotations

import json
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.data import store
from latentrl.data.frames import Frames, as_frames
from latentrl.data.store import FrameWriter
from latentrl.data.windows import Windows

SPACE = spaces.Box(0, 255, (4, 5, 3), np.uint8)
ACTIONS = spaces.Box(-1, 1, (2,), np.float32)
ENVIRONMENT = {"id": "Test-v0"}


def write(path: Path, count: int = 10, seed: int = 0, **changes: Any) -> Any:
    observations = np.random.default_rng(seed).integers(
        0, 256, (count, *SPACE.shape), dtype=np.uint8
    )
    arguments = {
        "space": SPACE,
        "action_space": ACTIONS,
        "environment": ENVIRONMENT,
        **changes,
    }
    with FrameWriter(path, **arguments, seed=seed) as writer:
        for number, observation in enumerate(observations):
            writer.append(
                observation[None],
                action=np.full((1, 2), number / 10),
                reward=[number],
                terminated=[number % 4 == 3],
                truncated=[False],
                env=[0],
                episode=[number // 4],
            )
    return observations


def write_older(path: Path, version: int, count: int = 10) -> Any:
    """Write a store as older versions did: shards in the manifest, no descriptions; in format 1
    records without ``final``, no terminal rows."""
    observations = write(path, count)
    (path / "000.json").unlink()
    change_manifest(path, format=version, shards=[{"name": "000", "seed": 0}])
    if version == 1:
        fields = [
            ("action", "<f4", (2,)),
            ("reward", "<f4"),
            ("terminated", "?"),
            ("truncated", "?"),
            ("env", "<i4"),
            ("episode", "<i4"),
        ]
        rows = [([n / 10] * 2, n, n % 4 == 3, False, 0, n // 4) for n in range(count)]
        records = np.array(rows, fields)
        assert records.itemsize == 22
        (path / "000.steps.bin").write_bytes(records.tobytes())
    return observations


def forget_end(path: Path, name: str = "000") -> None:
    """Leave the description of a shard as a killed writer does."""
    change(path / f"{name}.json", frames=None, crc32={})


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_manifest(path: Path, **changes: Any) -> None:
    change(path / "manifest.json", **changes)


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def test_round_trip(tmp_path: Path) -> None:
    observations = write(tmp_path)
    frames = Frames.open(tmp_path)
    assert frames.space == SPACE
    np.testing.assert_array_equal(frames[:], observations)
    np.testing.assert_array_equal(frames.steps["reward"], np.arange(10))
    np.testing.assert_allclose(frames.steps["action"][:, 1], np.arange(10) / 10)
    assert np.flatnonzero(frames.steps["terminated"]).tolist() == [3, 7]
    assert frames.episodes.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert not frames.steps["final"].any()


def test_fields_that_are_not_given_are_zero(tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, ACTIONS, {}) as writer:
        writer.append(np.zeros((2, *SPACE.shape)), env=[1, 2], final=True)
    steps = Frames.open(tmp_path).steps
    assert steps["env"].tolist() == [1, 2]
    assert steps["final"].all()
    for name in ("action", "reward", "terminated", "truncated", "episode"):
        assert not steps[name].any()


@pytest.mark.parametrize("version", [1, 2])
def test_older_formats_open(version: int, tmp_path: Path) -> None:
    observations = write_older(tmp_path / "old", version)
    old = Frames.open(tmp_path / "old", verify=True)
    write(tmp_path / "new")
    new = Frames.open(tmp_path / "new")
    np.testing.assert_array_equal(old[:], observations)
    np.testing.assert_array_equal(old.steps, new.steps)
    assert old.steps.dtype == new.steps.dtype
    assert not old.steps["final"].any()
    assert old.episodes.tolist() == new.episodes.tolist()
    assert old.metadata["shards"] == [{"name": "000", "seed": 0}] == new.metadata["shards"]
    assert len(Windows(old, 4)) == 2  # episodes of 4, 4 and 2 steps


@pytest.mark.parametrize("version", [1, 2])
def test_older_formats_are_not_extended(version: int, tmp_path: Path) -> None:
    write_older(tmp_path, version)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(
        ValueError,
        match=f"has frame format {version}, which can only be read: collect into another path",
    ):
        write(tmp_path, count=0)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_shards_join_without_sharing_episode_numbers(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path, count=5, seed=1)
    frames = Frames.open(tmp_path)
    np.testing.assert_array_equal(frames[:], np.concatenate([first, second]))
    assert frames.episodes.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4]
    assert [shard["seed"] for shard in frames.metadata["shards"]] == [0, 1]


@pytest.mark.parametrize("kind", ["observations", "steps"])
def test_a_killed_writer_loses_at_most_one_frame(kind: str, tmp_path: Path) -> None:
    observations = write(tmp_path)
    forget_end(tmp_path)
    file = tmp_path / f"000.{kind}.bin"
    whole = file.stat().st_size
    # Bytes that are lost: from one to all of the last record.
    for lost in (1, whole // 20, whole // 10 - 1, whole // 10):
        cut(file, whole - lost)
        frames = Frames.open(tmp_path)
        assert len(frames) == 9
        np.testing.assert_array_equal(frames[:], observations[:9])
        assert len(frames.steps) == 9


class FullDisk(FileIO):
    """A file that takes all but the last 3 bytes."""

    def write(self, data: Any) -> int:
        return super().write(memoryview(data).cast("B")[:-3])


@pytest.mark.parametrize("kind", ["observations", "steps"])
def test_a_batch_that_is_not_written_as_a_whole_is_an_error(kind: str, tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, SPACE, ACTIONS, {"id": "Test-v0"})
    writer.append(np.ones((3, *SPACE.shape), np.uint8))
    name = writer._files[kind].name
    writer._files[kind].close()
    writer._files[kind] = FullDisk(name, "ab")
    message = f"{kind}.bin could not be written as a whole: the disk is full"
    with pytest.raises(OSError, match=message), writer:
        writer.append(np.zeros((2, *SPACE.shape), np.uint8))
    frames = Frames.open(tmp_path, verify=True)
    assert len(frames) == 4 if kind == "steps" else 3
    assert frames[:3].all()


def test_the_first_error_is_raised_where_the_end_cannot_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(store, "write_json", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path)
    with pytest.raises(KeyError, match="first"), FrameWriter(tmp_path, SPACE, ACTIONS, ENVIRONMENT):
        raise KeyError("first")
    assert len(Frames.open(tmp_path)) == 10


def test_a_store_with_a_truncated_shard_can_be_extended(tmp_path: Path) -> None:
    first = write(tmp_path)
    forget_end(tmp_path)
    cut(tmp_path / "000.observations.bin", 9 * 60 + 7)
    second = write(tmp_path, seed=1)
    np.testing.assert_array_equal(Frames.open(tmp_path)[:], np.concatenate([first[:9], second]))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["observations", "steps"])
def test_a_missing_file_is_named(kind: str, version: int, tmp_path: Path) -> None:
    write(tmp_path) if version == 3 else write_older(tmp_path, version)
    (tmp_path / f"000.{kind}.bin").unlink()
    with pytest.raises(FileNotFoundError, match=rf"there is no file .*000.{kind}.bin"):
        Frames.open(tmp_path)


@pytest.mark.parametrize("change_of_size", [-1, 1])
@pytest.mark.parametrize("kind", ["observations", "steps"])
def test_a_file_of_another_length_is_named(kind: str, change_of_size: int, tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / f"000.{kind}.bin"
    file.write_bytes((file.read_bytes() + b"x")[: file.stat().st_size + change_of_size])
    with pytest.raises(ValueError, match=rf"000.{kind}.bin is damaged: 10 frames take \d+ bytes"):
        Frames.open(tmp_path)


@pytest.mark.parametrize("kind", ["observations", "steps"])
def test_a_changed_byte_is_found_on_request(kind: str, tmp_path: Path) -> None:
    write(tmp_path)
    assert len(Frames.open(tmp_path, verify=True)) == len(as_frames(tmp_path)) == 10
    file = tmp_path / f"000.{kind}.bin"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    assert len(Frames.open(tmp_path)) == 10
    for opened in (lambda: Frames.open(tmp_path, verify=True), lambda: as_frames(tmp_path)):
        with pytest.raises(ValueError, match=rf"000.{kind}.bin is damaged: it does not match its"):
            opened()


def test_files_of_a_writer_killed_before_it_had_a_shard_are_ignored(tmp_path: Path) -> None:
    first = write(tmp_path)
    for kind in ("observations", "steps"):
        (tmp_path / f"001.{kind}.bin").touch()
    second = write(tmp_path, seed=1)
    frames = Frames.open(tmp_path)
    np.testing.assert_array_equal(frames[:], np.concatenate([first, second]))
    assert [shard["name"] for shard in frames.metadata["shards"]] == ["000", "002"]


def test_a_store_that_grows_while_it_is_opened_has_one_length(tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, ACTIONS, {}) as writer:
        writer.append(np.zeros((3, *SPACE.shape), np.uint8))
        _, (shard,) = store.open_store(tmp_path)
        writer.append(np.zeros((4, *SPACE.shape), np.uint8))
        assert len(shard.steps()) == len(shard.observations()) == 3
        assert len(Frames.open(tmp_path)) == 7


def test_an_empty_store_opens(tmp_path: Path) -> None:
    write(tmp_path, count=0)
    assert len(Frames.open(tmp_path)) == 0


@pytest.mark.parametrize(
    ("changes", "key", "saved", "given"),
    [
        ({"action_space": spaces.Discrete(3)}, "action.dtype", "float32", "int64"),
        (
            {"action_space": spaces.Box(-2, 2, (2,))},
            "action_space",
            r"Box\(-1.0, 1.0, \(2,\), float32\)",
            r"Box\(-2.0, 2.0, \(2,\), float32\)",
        ),
        ({"environment": {"id": "Other-v0"}}, "environment.id", "Test-v0", "Other-v0"),
        ({"environment": {"id": "Test-v0", "skip": 4}}, "environment.skip", "None", "4"),
        (
            {"space": spaces.Box(0, 255, (4, 5, 1), np.uint8)},
            "observation.shape",
            r"\[4, 5, 3\]",
            r"\[4, 5, 1\]",
        ),
    ],
)
def test_other_frames_are_refused(
    changes: dict[str, Any], key: str, saved: str, given: str, tmp_path: Path
) -> None:
    write(tmp_path)
    with pytest.raises(
        ValueError,
        match=f"the frame store .* has {key}={saved}, the call has {key}={given}: use another path",
    ):
        write(tmp_path, count=0, **changes)
    assert len(Frames.open(tmp_path)) == 10


def test_a_store_of_an_earlier_version_takes_any_bounds_of_actions(tmp_path: Path) -> None:
    write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["action_space"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    write(tmp_path, action_space=spaces.Box(-2, 2, (2,)))
    assert len(Frames.open(tmp_path)) == 20


def test_stores_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no frame store at .*: it has no manifest.json"):
        Frames.open(tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"format": 1, "obser')
    with pytest.raises(ValueError, match=r"manifest.json is damaged: "):
        Frames.open(tmp_path)
    for foreign in ("[]", '{"name": "a web app"}'):
        manifest.write_text(foreign)
        with pytest.raises(ValueError, match=r"manifest.json was not written by latentrl"):
            Frames.open(tmp_path)


def test_newer_formats_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    change_manifest(tmp_path, format=5)
    with pytest.raises(
        ValueError, match="has frame format 5, this version reads up to 4: update latentrl"
    ):
        Frames.open(tmp_path)
