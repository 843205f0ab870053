"""Verdicts on files, by formats whose reading is known; and the formats' own samples."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import numpy as np
import pytest

from scripts.studies.reliability import files
from scripts.studies.reliability.changes import Change
from scripts.studies.reliability.extent import Extent
from scripts.studies.reliability.files import Outcome, Reader, digest, outcomes, summary
from scripts.studies.reliability.formats import FORMATS, Format
from scripts.studies.reliability.processes import MIB, Worker

DAMAGE, EDIT, REFUSED = Change("damage"), Change("edit", edit=True), Change("a", True, True)


def reads(act):
    """Return a format whose intact sample is read, and whose changed one does ``act``."""

    def read(folder):
        data = (folder / "file").read_bytes()
        return data if data == b"intact" else act()

    return Format("toy", lambda folder: (folder / "file").write_bytes(b"intact"), read, "*")


def raising(error):
    def act():
        raise error

    return act


def out_of_memory():
    try:
        raise MemoryError
    except MemoryError as error:
        raise ValueError("cannot be read") from error


def spend():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass


@pytest.fixture
def toy(tmp_path, monkeypatch):
    def run(act, change=DAMAGE, checked=False):
        made = reads(act)
        each = Format(made.name, made.write, made.read, made.targets, checked)
        monkeypatch.setattr(files, "FORMATS", {"toy": each})
        monkeypatch.setattr(Reader, "_change", lambda *_: _overwritten(tmp_path / "study", change))
        return list(outcomes(Extent(1), tmp_path / "study", ["toy"]))

    return run


def _overwritten(folder, change):
    (folder / "work" / "file").write_bytes(b"changed")
    return change


@pytest.mark.parametrize(
    ("act", "verdict"),
    [
        (raising(ValueError("no")), "refused"),
        (raising(TypeError("no")), "refused"),
        (raising(FileNotFoundError("no")), "refused"),
        (raising(UnicodeDecodeError("ascii", b"a", 0, 1, "no")), "refused"),
        (lambda: b"intact", "equal"),
        (lambda: b"other", "other values"),
        (raising(KeyError("no")), "KeyError"),
        (raising(IsADirectoryError("no")), "IsADirectoryError"),
        (raising(SystemExit(1)), "SystemExit"),
        (out_of_memory, "MemoryError inside"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV"),
        (lambda: os._exit(0), "ended with status 0"),
    ],
)
def test_verdicts(act, verdict, toy):
    (found,) = toy(act)
    assert found.verdict == verdict
    assert found.right == (verdict in ("refused", "equal", "other values"))
    assert found.number == 0
    assert found.change == "file damage"


@pytest.mark.parametrize(
    ("change", "checked", "verdict"),
    [
        (DAMAGE, True, "loads silently"),
        (EDIT, True, "other values"),
        (REFUSED, True, "loads silently"),
        (REFUSED, False, "loads silently"),
        (Change("cut", cut=True), False, "loads silently"),
    ],
)
def test_what_has_to_be_refused(change, checked, verdict, toy):
    (found,) = toy(lambda: b"other", change, checked)
    assert found.verdict == verdict


def test_limits(toy, monkeypatch):
    monkeypatch.setattr(files, "HANG", 0.3)
    assert toy(lambda: time.sleep(9))[0].verdict == "no answer in 0.3 s"
    monkeypatch.setattr(files, "HANG", 9.0)
    monkeypatch.setattr(files, "SECONDS", 0.2)
    assert toy(spend)[0].verdict == "0 s"
    monkeypatch.setattr(files, "GIB", 50 * MIB)
    monkeypatch.setattr(files, "SECONDS", 5.0)
    grown = toy(lambda: len(b"\1" * 40 * MIB))[0]
    assert grown.verdict == "other values"
    assert toy(lambda: b"\1" * 90 * MIB)[0].verdict == "MemoryError"


def test_a_sample_that_is_refused_is_wrong(tmp_path, monkeypatch):
    refuse = raising(ValueError("not read"))
    bad = Format("bad", lambda folder: None, lambda folder: refuse(), "*")
    monkeypatch.setattr(files, "FORMATS", {"bad": bad, "toy": reads(lambda: b"other")})
    found = list(outcomes(Extent(1), tmp_path, ["bad", "toy"]))
    assert [each.format for each in found] == ["bad", "toy"]
    assert found[0].message.endswith("not read")
    assert not found[0].right


def test_tables():
    found = [
        Outcome(".npy", "a", "refused", seconds=2.0, mebibytes=3.0),
        Outcome(".npy", "b", "KeyError", number=4),
        Outcome("images", "c", "KeyError"),
    ]
    study = summary(found)
    assert study.rows[0].value == 2
    assert study.rows[0].reached is False
    rows = {row[0]: row[1:] for row in study.tables[0].rows}
    assert rows.keys() == FORMATS.keys()
    assert rows[".npy"] == ["2", "1", "0", "0", "1", "2.00", "3"]
    assert sorted(study.tables[1].rows) == [["KeyError", ".npy", "1"], ["KeyError", "images", "1"]]


def test_nothing_wrong():
    study = summary([Outcome(".npy", "a", "equal")])
    assert study.rows[0].reached
    assert study.tables[1].rows == [["none", "", "0"]]


def test_equal_values_have_equal_digests():
    array = np.arange(3)
    assert digest([array, 1]) == digest([[array.copy()], [1]])
    assert digest([array, 1]) != digest([array, 2])
    assert digest([array]) != digest([array + 1])


FAST = ("frame store", ".npy", ".npz", ".idx", ".idx.gz", "labels", "images")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in FORMATS]
)
def test_samples_are_read_equal_twice(name, tmp_path):
    with contextlib.closing(Worker(Reader(tmp_path, 0).write_sample, 60)) as worker:
        assert worker(name).value == ""


def test_changes_depend_on_seed_and_number(tmp_path):
    reader = Reader(tmp_path, 0)

    def texts(seed):
        reader.seed = seed
        return [reader.read(".npz", number).change for number in (1, 2, 3)]

    with contextlib.closing(Worker(reader.write_sample, 60)) as worker:
        worker(".npz")
    with contextlib.closing(Worker(texts, 60)) as worker:
        first, again, other = (worker(seed).value for seed in (4, 4, 5))
    assert first == again != other
