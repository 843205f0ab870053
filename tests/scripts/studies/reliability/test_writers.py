"""Simultaneous writers: toy pairs that do everything right, or one thing wrong; and collections."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import pytest

from scripts.studies.reliability import writers
from scripts.studies.reliability.extent import Extent
from scripts.studies.reliability.writers import KINDS, Pair, Writers, summary


def write(what):
    if what == "refused":
        raise ValueError("in use")
    if what == "crash":
        raise KeyError("index")
    if what == "hang":
        time.sleep(60)
    Path(what).write_text("")


def pair(monkeypatch, folder, *whats, check=lambda succeeded: ""):
    def make(rng):
        return (functools.partial(write, what) for what in whats)

    monkeypatch.setattr(writers, "KINDS", {"collect": (make, check)})
    monkeypatch.setattr(writers, "warm", lambda function: None)
    monkeypatch.chdir(folder)  # restored after the test
    return Writers(folder / "work", 0).pair(1)


@pytest.mark.parametrize(
    ("whats", "refused", "wrong"),
    [
        (("a", "b"), 0, ""),
        (("a", "refused"), 1, ""),
        (("refused", "refused"), 2, "exit statuses [2, 2]: error: in use"),
        (("crash", "a"), 0, "exit statuses [1, 0]: KeyError: 'index'"),
        (("a", ".b.1.tmp"), 0, "left behind: .b.1.tmp"),
    ],
)
def test_pairs(whats, refused, wrong, tmp_path, monkeypatch):
    assert pair(monkeypatch, tmp_path, *whats) == Pair("collect", refused, wrong)


def test_a_hang_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "LIMIT", 0.2)
    assert pair(monkeypatch, tmp_path, "a", "hang").wrong == "a writer does not end"


def test_what_is_left_is_checked_with_the_number_of_successes(tmp_path, monkeypatch):
    found = pair(monkeypatch, tmp_path, "a", "refused", check=lambda n: f"{n} succeeded")
    assert found.wrong == "1 succeeded"
    found = pair(monkeypatch, tmp_path, "a", "b", check=lambda n: Path("c").read_text())
    assert found.wrong.startswith("FileNotFoundError")


def test_nine_in_ten_pairs_collect(tmp_path, monkeypatch):
    monkeypatch.setattr(writers.Writers, "pair", lambda self, number: Pair("collect", 0, ""))
    assert len(list(writers._reported(Extent(30), Writers(tmp_path, 0)))) == 30
    kinds = [writers.kind_of(number) for number in range(60)]
    assert kinds.count("collect") == 54
    assert set(kinds) == KINDS.keys()


def test_amounts_depend_on_seed_and_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def amounts(seed, number):
        return [
            write.args[1] for write in Writers(tmp_path / "work", seed)._writes("collect", number)
        ]

    assert amounts(0, 7) == amounts(0, 7)
    assert len({*amounts(0, 7), *amounts(1, 7), *amounts(0, 8)}) > 3


def test_wrong_pairs_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Writers, "pair", lambda self, number: Pair("collect", 0, "lost"))
    list(writers._reported(Extent(1, 5), Writers(tmp_path, 5)))
    assert "collect: lost\n    --part writers --seed 5 --case 0" in capsys.readouterr().out


def test_table():
    study = summary([Pair("collect", 1, ""), Pair("collect", 0, "lost")])
    assert study.rows[0].value == 1
    assert study.tables[0].rows[0] == ["collect", "2", "1", "1"]
    assert len(study.tables[0].rows) == len(KINDS)
