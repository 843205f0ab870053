"""The frame store survives killed writers and refuses what is not its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.data.frames import Frames
from latentrl.data.store import FrameWriter

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


def test_shards_join_with_episodes_of_their_own(tmp_path: Path) -> None:
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
    for lost in (
        1,
        whole // 20,
        whole // 10 - 1,
        whole // 10,
    ):  # bytes: up to all of the last record
        cut(file, whole - lost)
        frames = Frames.open(tmp_path)
        assert len(frames) == 9
        np.testing.assert_array_equal(frames[:], observations[:9])
        assert len(frames.steps) == 9


def test_a_store_with_a_cut_shard_can_be_added_to(tmp_path: Path) -> None:
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
    ("changes", "key"),
    [
        ({"action_space": spaces.Discrete(3)}, "action"),
        ({"environment": {"id": "Other-v0"}}, "environment"),
        ({"space": spaces.Box(0, 1, (4, 5, 3), np.float32)}, "observation"),
    ],
)
def test_other_frames_are_refused(changes: dict[str, Any], key: str, tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(
        ValueError, match=rf"holds frames with {key} \{{.*\}}, not \{{.*\}}: use another path"
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
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    with pytest.raises(
        ValueError, match="has frame format 2, this version reads up to 1: update latentrl"
    ):
        Frames.open(tmp_path)
