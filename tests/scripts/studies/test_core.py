"""Results on disk: a study is read back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.studies.core import STUDIES, Result, Row, Study, Table, machine

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
STUDY = Study(
    [
        Row("error, dB", 1.5, {"other": 0.25}, "above 1", True),
        Row("cost, ms", 0.5, goal="above 1", reached=False),
        Row("size", 3.0),
    ],
    [Table("A table", ["name", "value"], [["a", "1"]])],
    {"An image": IMAGE, "Its negative": 255 - IMAGE},
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Result, "folder", tmp_path)
    return tmp_path


def test_study_is_read_as_it_was_written() -> None:
    result = Result("subject", "part")
    result.write(STUDY, 12.5, "a machine")
    read = result.read()
    assert (read.rows, read.tables) == (STUDY.rows, STUDY.tables)
    assert list(read.images) == list(STUDY.images)
    for caption, image in STUDY.images.items():
        np.testing.assert_array_equal(read.images[caption], image)
    assert (result.seconds, result.machine) == (12.5, "a machine")


def test_result_lies_beside_the_page(folder: Path) -> None:
    Result("subject", "part").write(STUDY, 1.0, "a machine")
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*.*")}
    images = {f"images/subject/part-{number}.png" for number in range(2)}
    assert files == {"results/subject/part.json", *images}


def test_computed_study_records_time_and_machine() -> None:
    result = Result("subject", "part")
    assert result.compute(lambda: STUDY) is STUDY
    assert result.read().rows == STUDY.rows
    assert result.seconds >= 0
    assert result.machine == machine()


def test_failing_study_leaves_no_result() -> None:
    result = Result("subject", "part")
    with pytest.raises(ZeroDivisionError):
        result.compute(lambda: Study([Row("error", 1 / 0)]))
    assert not result.file.exists()


def test_missing_result_names_the_command() -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r"part has no result in .*part\.json; run\n  python .*study\.py subject --part part$",
    ):
        Result("subject", "part").read()


def test_unknown_study_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown study 'magic'; known: "):
        STUDIES["magic"]
