"""Atomic writes: the old file or the new one, never a mixture, never litter."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from latentrl.utils.io import read_json, write_atomically, write_json


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"name": "é", "list": [1, None]})
    assert read_json(tmp_path / "new" / "a.json") == {"name": "é", "list": [1, None]}


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


def test_contents_are_on_the_disk_before_the_rename(
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


@pytest.mark.parametrize("damaged", [b"", b'{"a": ', b"\xff\xfe\x00"])
def test_damaged_json_is_named(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a.json is damaged: "):
        read_json(tmp_path / "a.json")
