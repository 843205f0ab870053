"""Studies as printed text and as Markdown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.studies.core import Result, Row, Study, Table
from scripts.studies.report import (
    format_metric,
    markdown_table,
    print_study,
    question,
    replace_section,
    section,
)

STUDY = Study(
    [
        Row("gain, dB", 1.5, {"other": 0.25}, "above 1", True),
        Row("cost, ms", 0.5, goal="above 1", reached=False),
        Row("size", 30.0),
    ],
    [Table("A table", ["name", "|x|"], [["a", "1"], ["longer", "2"]])],
    {"An image": np.zeros((4, 4, 3), np.uint8)},
)


def part() -> Study:
    """Gain of a toy.

    Measured on one image,
    twice.
    """
    return STUDY


def test_question_is_the_docstring() -> None:
    assert question(part) == ("Gain of a toy", "Measured on one image, twice.")


def test_printed_study_states_which_goals_are_reached(capsys: pytest.CaptureFixture[str]) -> None:
    print_study(part, STUDY)
    output = capsys.readouterr().out
    assert "Gain of a toy" in output
    assert "reached: above 1" in output
    assert "MISSED: above 1" in output
    assert "other 0.250" in output
    assert "    a       1  \n    longer  2  \n" in output


def test_section_has_rows_tables_and_relative_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Result, "folder", tmp_path)
    result = Result("toys", "part")
    result.write(STUDY, 61.7, "a machine")
    text = "\n".join(section(part, result, tmp_path / "results" / "toys.md"))
    assert text.startswith("## Gain of a toy\n")
    assert "Measured on one image, twice. Run time 62 s.\n" in text
    assert "| gain, dB | 1.50 | other 0.250 | above 1 | yes |\n" in text
    assert "| cost, ms | 0.500 |  | above 1 | **no** |\n" in text
    assert "| size | 30.0 |  |  |  |\n" in text
    assert "A table:\n\n| name | \\|x\\| |\n" in text
    assert "![An image](../images/toys/part-0.png)\n" in text


def test_markdown_table_escapes_bars() -> None:
    assert markdown_table(["a", "b|c"], [["1", "2"]]) == "| a | b\\|c |\n| --- | --- |\n| 1 | 2 |\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.96812, "0.968"),
        (1.0, "1.00"),
        (15.52, "15.5"),
        (-125.24, "-125.2"),
        (19083.52, "19083.5"),
    ],
)
def test_metrics_have_three_significant_digits(value: float, text: str) -> None:
    assert format_metric(value) == text


def test_replaced_section_keeps_what_is_around(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- b -->\nafter\n")
    replace_section(page, "<!-- a -->", "new", "<!-- b -->")
    assert page.read_text() == "before\n<!-- a -->\nnew\n<!-- b -->\nafter\n"


def test_page_without_the_lines_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no lines")
    with pytest.raises(ValueError, match=r"page\.md lacks the lines '<a>' and '<b>', between"):
        replace_section(page, "<a>", "new", "<b>")
    assert page.read_text() == "no lines"
