"""Subjects made of parts: each part runs once, and the page comes from the results on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.studies.core import STUDIES, Result, Row, Study
from scripts.studies.experiments import Experiments
from scripts.studies.report import question
from tests.helpers import ROOT

CALLS: list[str] = []
GENERATED = [name for name in STUDIES if issubclass(STUDIES[name], Experiments)]  # type: ignore[arg-type]


def first() -> Study:
    """First question."""
    CALLS.append("first")
    return Study([Row("metric", float(len(CALLS)))])


def second() -> Study:
    """Second question."""
    CALLS.append("second")
    return Study([Row("metric", 7.0)])


@dataclass(frozen=True)
class Toys(Experiments):
    """Toys.

    Two questions.
    """

    name = "toys"
    parts = {"first": first, "second": second}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    CALLS.clear()
    monkeypatch.setattr(Result, "folder", tmp_path)
    return tmp_path


def test_parts_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    Toys().run()
    Toys().run()
    assert CALLS == ["first", "second"]
    assert capsys.readouterr().out.count("First question") == 2


def test_fresh_repeats_the_chosen_part() -> None:
    Toys().run()
    Toys(part=("first",), fresh=True).run()
    assert CALLS == ["first", "second", "first"]
    assert Result("toys", "first").read().rows[0].value == 3


def test_interrupted_run_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> Study:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(Toys.parts, "second", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Toys().run()
    Toys().run()
    assert CALLS == ["first", "second"]


def test_unknown_part_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown part 'third' of toys; known: first, second"):
        Toys(part=("third",)).run()


def test_page_needs_all_results() -> None:
    Toys(part=("first",)).run()
    with pytest.raises(FileNotFoundError, match="second has no result"):
        Toys().write_page()


def test_page_has_the_parts_in_order(folder: Path) -> None:
    Toys().run()
    page = Toys().write_page()
    text = page.read_text()
    assert page == folder / "results" / "toys.md"
    assert text.startswith("# Toys\n\nTwo questions.\n")
    assert "python scripts/study.py toys --page" in text
    assert text.index("## First question") < text.index("## Second question")
    assert CALLS == ["first", "second"]


@pytest.mark.parametrize("name", GENERATED)
def test_published_page_is_generated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    published = ROOT / "docs"
    pages: dict[Path, str] = {}
    monkeypatch.setattr(Result, "folder", published)
    monkeypatch.setattr("scripts.studies.experiments.write_text", pages.__setitem__)
    page = STUDIES[name]().write_page()
    assert pages[page] == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GENERATED)
def test_parts_state_their_question(name: str) -> None:
    for part in STUDIES[name].parts.values():  # type: ignore[attr-defined]
        title, _ = question(part)
        assert title
        assert len(title) < 100
