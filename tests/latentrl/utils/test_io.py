"""Atomic writes leave the old file or the new one; reads name a damaged one."""

from __future__ import annotations

import errno
import math
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from latentrl.utils import io
from latentrl.utils.io import (
    name_not_finite,
    read_json,
    read_tensors,
    strip_prefixes,
    write_atomically,
    write_bytes,
    write_csv,
    write_json,
    write_new,
    write_tensors,
    write_text,
)


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"name": "é", "list": [1, None]})
    assert read_json(tmp_path / "new" / "a.json") == {"name": "é", "list": [1, None]}


def test_bytes_and_text_are_written_as_they_are(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "a.bin", b"\x00\xff\r\n")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\xff\r\n"
    write_text(tmp_path / "a.txt", "é\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\r\n"


def test_rows_are_written_as_csv(tmp_path: Path) -> None:
    rows: Any = (row for row in [["name", "value"], ["a, b", 0.5], ['"é"', None]])
    write_csv(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == (
        'name,value\n"a, b",0.5\n"""é""",\n'
    )


def test_a_row_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [["old"]])
    with pytest.raises(KeyboardInterrupt):
        write_csv(tmp_path / "a.csv", map(die, range(3)))  # type: ignore[arg-type]
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old\n"]


TENSORS = {
    "module.weight": torch.arange(6.0).reshape(2, 3),
    "_orig_mod.half": torch.ones(3, dtype=torch.bfloat16),
    "empty": torch.empty(0, 4),
    "count": torch.tensor(7),
}


def test_tensors_and_notes_round_trip(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", TENSORS, {"config": {"size": [1, 2]}})
    tensors, note = read_tensors(tmp_path / "a.safetensors", "config")
    assert note == {"size": [1, 2]}
    assert tensors.keys() == {"weight", "half", "empty", "count"}
    for name, tensor in TENSORS.items():
        read = tensors[strip_prefixes(name)]
        assert read.dtype == tensor.dtype
        assert torch.equal(read, tensor)


@pytest.mark.parametrize("position", [-1, -12])
def test_a_damaged_byte_of_the_tensors_is_found(position: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, {"config": {"name": "a name of some length"}})
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a.safetensors is damaged: "):
        read_tensors(path, "config")


@pytest.mark.parametrize("name", [b'"header_crc32', b'"crc32'])
def test_a_damaged_name_of_a_checksum_is_found(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, {"config": {"beta": 4}})
    path.write_bytes(path.read_bytes().replace(name, b'"~' + name[2:]))
    with pytest.raises(ValueError, match="is damaged: its contents do not match their checksum"):
        read_tensors(path, "config")


def test_a_changed_note_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, {"config": {"beta": 4}})
    path.write_bytes(path.read_bytes().replace(b'beta\\": 4', b'beta\\": 5'))
    with pytest.raises(ValueError, match="is damaged: its contents do not match their checksum"):
        read_tensors(path, "config")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model at .*: it has no a.safetensors"):
        read_tensors(tmp_path / "a.safetensors", "config")
    write_tensors(tmp_path / "a.safetensors", TENSORS, {"other": 1})
    with pytest.raises(ValueError, match="was not written by latentrl: its header has no 'config'"):
        read_tensors(tmp_path / "a.safetensors", "config")


def test_a_kill_before_the_rename_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a.json", 1)
    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "a.json", 2)
    assert read_json(tmp_path / "a.json") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_kill_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    def write_half(temporary: Path) -> None:
        temporary.write_text("{")
        die()

    write_json(tmp_path / "a.json", 1)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.json", write_half)
    assert read_json(tmp_path / "a.json") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_contents_are_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("flush"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    write_json(tmp_path / "a.json", 1)
    assert calls == ["flush", "rename"]


@pytest.mark.parametrize("mask", [0o022, 0o007, 0o077])
def test_permissions_follow_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_json(tmp_path / "a.json", 1)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~mask


def test_temporary_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = socket.gethostname()
    left = tmp_path / f".b.json.{host}-{dead.pid}-7.tmp"
    others = [
        tmp_path / f".a.json.{host}-{os.getpid()}-7.tmp",
        tmp_path / f".a.json.another-{host}-x-{dead.pid}-7.tmp",
        tmp_path / ".notes.tmp",
        tmp_path / f".a.json.{host}-unknown.tmp",
    ]
    for file in (left, *others):
        file.touch()
    write_json(tmp_path / "a.json", 1)
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a.json"])


def test_threads_that_write_one_file_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    together = threading.Barrier(4)
    errors: list[BaseException] = []

    def write_many(number: int) -> None:
        together.wait()
        try:
            for _ in range(10):
                write_text(tmp_path / "a.txt", str(number) * 10_000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write_many, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set((tmp_path / "a.txt").read_text())) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_one_of_several_writers_makes_a_new_file(tmp_path: Path) -> None:
    assert write_new(tmp_path / "new" / "a", b"first")
    assert not write_new(tmp_path / "new" / "a", b"second")
    assert [file.read_bytes() for file in (tmp_path / "new").iterdir()] == [b"first"]


def test_new_files_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links")

    monkeypatch.setattr(os, "link", refuse)
    assert write_new(tmp_path / "a", b"first")
    assert not write_new(tmp_path / "a", b"second")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"first"]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, 2),
        lambda path: write_tensors(path, {"a": torch.ones(2)}, {}),
        lambda path: write_csv(path, [["new"]]),
        lambda path: write_new(path.with_name("b"), b"new"),
    ],
)
def test_a_full_disk_is_one_error_and_keeps_the_old_file(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a", 1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot be written, and is as it was before: No space left"):
        write(tmp_path / "a")
    assert read_json(tmp_path / "a") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_errors_of_safetensors_are_errors_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SafetensorError("I/O error: File too large (os error 27)")

    monkeypatch.setattr(io, "save_file", refuse)
    with pytest.raises(OSError, match="a cannot be written, and is as it was before: I/O error"):
        write_tensors(tmp_path / "a", TENSORS, {})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/a.json cannot be written, and is as it was before: "):
        write_json(tmp_path / "file" / "a.json", 1)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [Path.mkdir, make_pipe, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("read", [read_json, lambda path: read_tensors(path, "note")])
def test_folders_pipes_and_devices_are_refused(make: Any, read: Any, tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(
        ValueError, match="a is not a file, but a folder, a pipe, a socket or a dev"
    ):
        read(tmp_path / "a")


def test_a_damaged_note_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.setattr(io.json, "dumps", lambda value, **_: "{" if value == "x" else str(value))
        write_tensors(tmp_path / "a", {}, {"config": "x"})
        with pytest.raises(
            ValueError, match=r"'config' in the header of .*a is damaged: Expecting"
        ):
            read_tensors(tmp_path / "a", "config")


@pytest.mark.parametrize(("depth", "fine"), [(64, True), (65, False), (100_000, False)])
def test_deeply_nested_json_is_refused(depth: int, fine: bool, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * depth + "]" * depth)
    if fine:
        assert read_json(tmp_path / "a.json")
        return
    with pytest.raises(ValueError, match=r"a.json is damaged: (it nests values|maximum recursion)"):
        read_json(tmp_path / "a.json")


def test_huge_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(2**36)  # no blocks are written
    with pytest.raises(ValueError, match=r"a.json is damaged: it has more than 67,108,864 bytes"):
        read_json(tmp_path / "a.json")


def test_tensors_that_are_not_finite_are_named() -> None:
    tensors = {"a": torch.ones(3), "b": torch.tensor([2**60]), "c": torch.tensor([1.0, math.inf])}
    assert name_not_finite(tensors) == "c"
    assert name_not_finite({"a": torch.tensor(math.nan, dtype=torch.bfloat16)}) == "a"
    assert name_not_finite({name: tensors[name] for name in "ab"}) is None


@pytest.mark.parametrize("damaged", [b"", b'{"a": ', b"\xff\xfe\x00"])
def test_damaged_json_is_named(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a.json is damaged: "):
        read_json(tmp_path / "a.json")
