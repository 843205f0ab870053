"""The frame store: round trips, killed writers, older and newer formats, other environments."""

from __future__ import annotations

import json
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.data.frames import Frames
from latentrl.data.store import FrameWriter
from latentrl.data.windows import Windows

SPACE = spaces.Box(0, 255, (4, 5, 3), np.uint8)
ACTIONS = spaces.Box(-1, 1, (2,), np.float32)


def write(path: Path, count: int = 10, seed: int = 0, **changes: Any) -> Any:
    observations = np.random.default_rng(seed).integers(
        0, 256, (count, *SPACE.shape), dtype=np.uint8
    )
    arguments = {
        "space": SPACE,
        "action_space": ACTIONS,
        "environment": {"id": "Test-v0"},
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


def write_format_1(path: Path, count: int = 10) -> Any:
    """Write the files that version 0.2 wrote: records without ``final``, no terminal rows."""
    observations = write(path, count)
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
    change_manifest(path, format=1)
    return observations


def change_manifest(path: Path, **changes: Any) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


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


def test_format_1_opens_without_terminal_observations(tmp_path: Path) -> None:
    observations = write_format_1(tmp_path / "old")
    old = Frames.open(tmp_path / "old")
    write(tmp_path / "new")
    new = Frames.open(tmp_path / "new")
    np.testing.assert_array_equal(old[:], observations)
    np.testing.assert_array_equal(old.steps, new.steps)
    assert old.steps.dtype == new.steps.dtype
    assert not old.steps["final"].any()
    assert old.episodes.tolist() == new.episodes.tolist()
    assert len(Windows(old, 4)) == 2  # episodes of 4, 4 and 2 steps


def test_format_1_is_not_extended(tmp_path: Path) -> None:
    write_format_1(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(
        ValueError,
        match="has frame format 1, which has no terminal observations and can only be read: "
        "collect into another path",
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


@pytest.mark.parametrize("number", [0, 1])
def test_a_batch_that_is_not_written_as_a_whole_is_an_error(number: int, tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, ACTIONS, {"id": "Test-v0"}) as writer:
        name = writer._files[number].name
        writer._files[number].close()
        writer._files[number] = FullDisk(name, "ab")
        with pytest.raises(OSError, match=r"bin could not be written as a whole: the disk is full"):
            writer.append(np.zeros((2, *SPACE.shape), np.uint8))


def test_a_store_with_a_truncated_shard_can_be_extended(tmp_path: Path) -> None:
    first = write(tmp_path)
    cut(tmp_path / "000.observations.bin", 9 * 60 + 7)
    second = write(tmp_path, seed=1)
    np.testing.assert_array_equal(Frames.open(tmp_path)[:], np.concatenate([first[:9], second]))


@pytest.mark.parametrize("missing", [["observations", "steps"], ["steps"]])
def test_a_writer_killed_before_its_first_frame(missing: list[str], tmp_path: Path) -> None:
    first = write(tmp_path)
    write(tmp_path, seed=1)
    for kind in missing:
        (tmp_path / f"001.{kind}.bin").unlink()
    np.testing.assert_array_equal(Frames.open(tmp_path)[:], first)


def test_an_empty_store_opens(tmp_path: Path) -> None:
    write(tmp_path, count=0)
    assert len(Frames.open(tmp_path)) == 0


@pytest.mark.parametrize(
    ("changes", "key", "saved", "given"),
    [
        ({"action_space": spaces.Discrete(3)}, "action.dtype", "float32", "int64"),
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
    change_manifest(tmp_path, format=3)
    with pytest.raises(
        ValueError, match="has frame format 3, this version reads up to 2: update latentrl"
    ):
        Frames.open(tmp_path)
