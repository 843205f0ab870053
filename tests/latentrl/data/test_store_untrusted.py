"""Frame stores from strangers: every edit of their files is an error of one line, and cheap."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl.types
from latentrl.data.frames import Frames
from latentrl.data.store import FrameWriter
from tests.mutations import edit_bytes, edit_json, is_one_line, refusal

SPACE = spaces.Box(np.float32([0, 0]), np.float32([1, 9]))
EDITS = 80
"""Edits of the files of each format."""


@pytest.fixture(params=[1, 2, 3, 4])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store of two shards in each format."""
    path = tmp_path / "store"
    for seed in range(2):
        environment = {"id": "Test-v0", "frame_skip": 2}
        names = ("speed",) if request.param > 3 else ()
        with FrameWriter(path, SPACE, spaces.Discrete(3), environment, names, seed=seed) as writer:
            writer.append(np.full((4, 2), seed, np.float32), env=[0, 1, 0, 1], episode=[0, 1, 0, 2])
    if request.param < 3:
        make_older(path, request.param)
    return path


def make_older(path: Path, version: int) -> None:
    for name in ("000", "001"):
        (path / f"{name}.json").unlink()
        steps = path / f"{name}.steps.bin"
        if version == 1:  # records without the last byte
            records = np.frombuffer(steps.read_bytes(), np.uint8).reshape(4, -1)
            steps.write_bytes(records[:, :-1].tobytes())
    manifest = path / "manifest.json"
    shards = [{"name": name, "seed": 0} for name in ("000", "001")]
    described = {**json.loads(manifest.read_text()), "format": version, "shards": shards}
    manifest.write_text(json.dumps(described))


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def read(path: Path) -> Any:
    frames = Frames.open(path, verify=True)
    return frames[:], frames.steps, frames.times, frames.metadata["environment"].get("id")


def edit(path: Path, rng: np.random.Generator) -> None:
    described = sorted(path.glob("*.json"))
    file = described[rng.integers(len(described))]
    if rng.integers(4):
        file.write_text(json.dumps(edit_json(json.loads(file.read_text()), rng)))
    else:
        every = sorted(path.iterdir())
        edit_bytes(every[rng.integers(len(every))], rng)


def test_every_edit_of_a_store_is_refused_or_harmless(folder: Path, tmp_path: Path) -> None:
    refused = 0
    for seed in range(EDITS):
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))
        edit(copy, np.random.default_rng(seed))
        message = refusal(lambda copy=copy: read(copy))
        assert is_one_line(message)
        refused += bool(message)
        shutil.rmtree(copy)
    assert refused > EDITS / 3


@pytest.mark.parametrize(
    "dtype", ["object", "O", "V8", "S3", "U9", "datetime64[s]", "f4,O", "(3,)f4", ["f4"], None]
)
@pytest.mark.parametrize("of", ["observation", "action"])
def test_only_numbers_are_read(of: str, dtype: Any, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(folder / "manifest.json", **{of: {**manifest[of], "dtype": dtype}})
    with pytest.raises(ValueError, match=r"manifest.json is damaged: a dtype is one of bool, int8"):
        Frames.open(folder)


@pytest.mark.parametrize("shape", [[2**30, 2**30], [10**30], [-1], [0], ["2"], [2.0], 2, [1] * 70])
@pytest.mark.parametrize("of", ["observation", "action"])
def test_absurd_shapes_are_refused(of: str, shape: Any, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(folder / "manifest.json", **{of: {**manifest[of], "shape": shape}})
    with pytest.raises(ValueError, match=r"manifest.json is damaged: a shape (is|has) "):
        Frames.open(folder)


def test_the_name_of_the_environment_is_a_string(folder: Path) -> None:
    change(folder / "manifest.json", environment={"id": ["Test-v0"]})
    with pytest.raises(ValueError, match=r"is damaged: the environment's id is a string, got \["):
        Frames.open(folder)


@pytest.mark.parametrize("frames", [-1, 10**30, 2**40, "4", 4.0, True])
def test_absurd_counts_are_refused(frames: Any, tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, spaces.Discrete(3), {}) as writer:
        writer.append(np.zeros((4, 2), np.float32))
    change(tmp_path / "000.json", frames=frames)
    with pytest.raises(ValueError, match=r"000.json (is|lies)|000.observations.bin is damaged"):
        Frames.open(tmp_path)


@pytest.mark.parametrize("name", ["../other/000", "/etc/passwd", "000/../000", "", None, 0, "00a"])
@pytest.mark.parametrize("version", [1, 2])
def test_names_that_lead_elsewhere_are_refused(name: Any, version: int, tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, spaces.Discrete(3), {}) as writer:
        writer.append(np.zeros((4, 2), np.float32))
    change(tmp_path / "manifest.json", format=version, shards=[{"name": name}])
    with pytest.raises(ValueError, match="a shard has digits of its own as its name, got "):
        Frames.open(tmp_path)


def test_a_shard_is_listed_once(tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, spaces.Discrete(3), {}) as writer:
        writer.append(np.zeros((4, 2), np.float32))
    change(tmp_path / "manifest.json", format=2, shards=[{"name": "000"}] * 1000)
    with pytest.raises(ValueError, match="a shard has digits of its own as its name, got '000'"):
        Frames.open(tmp_path)


FILES = ["000.observations.bin", "000.steps.bin", "000.json"]


@pytest.mark.parametrize("name", FILES)
def test_links_out_of_the_store_are_refused(name: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with FrameWriter(store, SPACE, spaces.Discrete(3), {}) as writer:
        writer.append(np.zeros((4, 2), np.float32))
    (store / name).rename(tmp_path / name)
    (store / name).symlink_to(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is a link out of its store: put a copy"):
        Frames.open(store)
    (tmp_path / "linked").symlink_to(store)  # the folder itself may be a link
    (store / name).unlink()
    (tmp_path / name).rename(store / name)
    assert len(Frames.open(tmp_path / "linked")) == 4


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_pipes_and_folders_are_refused(name: str, tmp_path: Path) -> None:
    with FrameWriter(tmp_path, SPACE, spaces.Discrete(3), {}) as writer:
        writer.append(np.zeros((4, 2), np.float32))
    for make in (os.mkfifo, os.mkdir):
        (tmp_path / name).unlink(missing_ok=True)
        make(tmp_path / name)
        with pytest.raises(ValueError, match=rf"{name} is not a file, but a folder, a pipe"):
            Frames.open(tmp_path)


@pytest.mark.parametrize(
    "space", [spaces.Tuple([spaces.Discrete(2)]), spaces.Dict(a=spaces.Discrete(2))]
)
def test_actions_that_are_no_arrays_are_refused(space: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stored with actions of one shape and type, not with"):
        FrameWriter(tmp_path / "store", SPACE, space, {})
    assert not (tmp_path / "store").exists()


def test_observations_that_could_not_be_read_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latentrl.types, "MAX_VALUES", 100)
    space = spaces.Box(0, 255, (10, 11), np.uint8)
    with pytest.raises(ValueError, match=r"positive sizes and up to 100 values, got \[10, 11\]"):
        FrameWriter(tmp_path / "store", space, spaces.Discrete(2), {})
    assert not (tmp_path / "store").exists()


def test_frames_without_their_description_are_an_error(tmp_path: Path) -> None:
    for number in range(2):
        with FrameWriter(tmp_path, SPACE, spaces.Discrete(3), {"id": "Test-v0"}) as writer:
            writer.append(np.full((4, 2), number, np.float32))
    (tmp_path / "000.observations.bin").rename(tmp_path / "kept")
    (tmp_path / "000.json").unlink()
    (tmp_path / "000.observations.bin").touch()  # as a writer that was killed at once leaves it
    assert len(Frames.open(tmp_path)) == 4
    (tmp_path / "kept").replace(tmp_path / "000.observations.bin")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*000\.json"):
        Frames.open(tmp_path)
