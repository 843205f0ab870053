"""Writers of one store at the same time, and writers that are killed: no frame is lost."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from latentrl.data import store
from latentrl.data.collect import collect
from latentrl.data.frames import Frames
from latentrl.data.store import FrameWriter

SPACE = spaces.Box(0, 255, (3, 3, 1), np.uint8)
FORKING = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def write(path: Path, writer: int, frames: int = 5, env: str = "Test-v0") -> None:
    with FrameWriter(path, SPACE, spaces.Discrete(2), {"id": env}, seed=writer) as shard:
        for number in range(frames):
            values = np.full((2, *SPACE.shape), (10 * writer + number) % 256, np.uint8)
            shard.append(values, env=[0, 1], episode=[0, 1])


def fork(function: Callable[..., Any], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def check(path: Path, writers: int, frames: int = 5) -> None:
    stored = Frames.open(path, verify=True)
    values = sorted(stored[:].max(axis=(1, 2, 3)).tolist())
    assert values == sorted(10 * w + n for w in range(writers) for n in range(frames) for _ in "ab")
    assert sorted(shard["seed"] for shard in stored.metadata["shards"]) == list(range(writers))
    assert len(np.unique(stored.episodes)) == 2 * writers
    assert not list(path.glob(".*")), "no temporary file is left"


@FORKING
def test_pairs_of_processes_lose_no_frame(tmp_path: Path) -> None:
    def write_all(writer: int) -> None:
        for pair in range(20):
            write(tmp_path / str(pair), writer)

    processes = [fork(write_all, writer) for writer in range(2)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for pair in range(20):
        check(tmp_path / str(pair), writers=2)


def test_frames_are_on_the_disk_before_their_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.fstat(number).st_ino))

    def check_flushed(path: Path, data: Any) -> None:
        files = [tmp_path / f"000.{kind}.bin" for kind in ("observations", "steps")]
        assert {file.stat().st_ino for file in files} <= {*flushed}
        assert data["frames"] == 10

    monkeypatch.setattr(store, "write_json", check_flushed)
    write(tmp_path, 0)


def test_frames_that_lost_their_manifest_are_not_adopted(tmp_path: Path) -> None:
    write(tmp_path, 0)
    manifest = tmp_path / "manifest.json"
    kept = manifest.read_bytes()
    manifest.unlink()
    message = (
        r"has frames, such as 000\.observations\.bin, and no manifest\.json, .*: put a copy of"
    )
    for call in (
        lambda: write(tmp_path, 1, env="Other-v0"),
        lambda: collect("CartPole-v1", 5, tmp_path, n_envs=1, progress=False),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert not manifest.exists()
    manifest.write_bytes(kept)
    write(tmp_path, 1)
    check(tmp_path, writers=2)


def test_a_store_may_have_more_shards_than_a_process_may_have_open_files(tmp_path: Path) -> None:
    writers = 90
    for writer in range(writers):
        write(tmp_path, writer, frames=1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = len(os.listdir("/dev/fd")) + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, limits[1]))
    try:
        frames = Frames.open(tmp_path, verify=True)
        values = frames[:].max(axis=(1, 2, 3))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    np.testing.assert_array_equal(values, np.repeat(10 * np.arange(writers) % 256, 2))
    assert frames[3].max() == frames[[3, 5]][0].max() == 10
    assert frames.steps["episode"].tolist() == [0, 1] * writers
    assert len(np.unique(frames.episodes)) == 2 * writers


def test_threads_lose_no_frame(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def write_together(writer: int) -> None:
        together.wait()
        write(tmp_path, writer)

    threads = [threading.Thread(target=write_together, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(tmp_path, writers=8)


def test_of_two_environments_at_once_one_is_refused(tmp_path: Path) -> None:
    together = threading.Barrier(2)
    errors: list[str] = []

    def write_one(env: str) -> None:
        together.wait()
        try:
            write(tmp_path, 0, env=env)
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=write_one, args=(env,)) for env in ("A-v0", "B-v0")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = errors
    assert "has environment.id=" in error
    assert len(Frames.open(tmp_path, verify=True)) == 10


@FORKING
@pytest.mark.parametrize("wait", [0.0, 0.002, 0.01, 0.03])
def test_a_killed_writer_leaves_a_store_that_opens_and_grows(wait: float, tmp_path: Path) -> None:
    write(tmp_path, 0)
    process = fork(write, tmp_path, 1, 10_000)
    process.join(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    before = len(Frames.open(tmp_path))
    write(tmp_path, 2)
    stored = Frames.open(tmp_path, verify=True)
    assert len(stored) == before + 10
    assert stored[-1].max() == 24
    assert not list(tmp_path.glob(".*")), "the next writer removes temporary files"
