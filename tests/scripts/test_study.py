"""The command ``scripts/study.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import study
from scripts.cli import run
from scripts.studies import STUDIES
from scripts.studies.core import Result, Row, Study

PLUGIN = '''
from dataclasses import dataclass

from scripts.studies.core import STUDIES, Subject


@STUDIES.register("mine")
@dataclass(frozen=True)
class Mine(Subject):
    """A study of mine."""

    def run(self):
        print("a study of mine")

    def write_page(self):
        raise NotImplementedError
'''


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/study.py", *arguments])
    run(study.commands, study.main)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Result, "folder", tmp_path)
    return tmp_path


def test_studies_are_registered_under_their_names() -> None:
    first = ["autoencoders", "bonus_diagnostics", "carracing", "compare", "linear_probe", "rate"]
    assert list(STUDIES) == [*first, "reliability", "sparse_rewards", "suite", "warm_start"]


def test_a_plugin_adds_a_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "study_of_mine.py").write_text(PLUGIN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(STUDIES, "_parts", dict(STUDIES._parts))
    call(monkeypatch, "mine", "--plugin", "study_of_mine")
    assert capsys.readouterr().out == "a study of mine\n"
    del sys.modules["study_of_mine"]


def test_results_are_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Result("autoencoders", "hashing").write(Study([Row("a metric", 2.5)]), 1.0, "a machine")
    call(monkeypatch, "autoencoders", "--part", "hashing")
    output = capsys.readouterr().out
    assert "Retrieval of digits by 32-bit codes" in output
    assert "a metric" in output


def test_page_is_written_without_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Result("linear_probe", "minigrid").write(Study([Row("a metric", 2.5)]), 1.0, "a machine")
    call(monkeypatch, "linear_probe", "--page")
    page = folder / "results" / "linear_probe.md"
    assert capsys.readouterr().out.strip() == str(page)
    assert "| a metric | 2.50 |" in page.read_text()


def test_missing_result_ends_with_status_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "linear_probe", "--page")
    assert ended.value.code == 2
    assert "error: minigrid has no result" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--bonus nope --fresh", "unknown novelty 'nope'; known: adaptive, counts"),
        ("--bonus rnd", "--bonus is for the part noise, to be run again: add --fresh"),
        ("--bonus rnd --fresh --part rooms", "--bonus is for the part noise, to be run again"),
    ],
)
def test_bonuses_are_checked_before_a_part_runs(
    flags: str,
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "bonus_diagnostics", *flags.split())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_help_names_the_studies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, "--help")
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert all(name in output for name in STUDIES)
