"""Stored studies are printed, and made anew on request."""

from __future__ import annotations

import json

import pytest

from scripts.studies import STUDIES
from scripts.studies.core import Study, Table
from tests.scripts.running import succeed


def pretend_studies(folder):
    for name in STUDIES:
        rows = [["", "decay", f"figure of {name}"]]
        table = {"caption": f"Table of {name}", "columns": ["", "test", "recipe"], "rows": rows}
        file = folder / "runs" / "benchmarks" / "autoencoders" / name / "study.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"rows": [], "tables": [table], "captions": []}))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["novelty"], {"novelty"}),
        (["novelty", "--noise"], {"novelty", "novelty_noise"}),
        (["probe"], {"probe"}),
        (["autoencoders"], {*STUDIES} - {"novelty", "novelty_noise", "probe"}),
        (["autoencoders", "--study", "anomaly"], {"anomaly"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_stored_studies_are_printed(arguments, expected, tmp_path):
    pretend_studies(tmp_path)
    lines = {line.strip() for line in succeed(tmp_path, "benchmark", *arguments).out.splitlines()}
    assert {name for name in STUDIES if f"Table of {name}" in lines} == expected
    assert {name for name in STUDIES if f"decay  figure of {name}" in lines} == expected


def test_fresh_makes_a_stored_study_anew(tmp_path, monkeypatch):
    pretend_studies(tmp_path)
    monkeypatch.setitem(
        STUDIES._parts, "novelty", lambda: Study([], [Table("A new table", ["a"], [["1"]])])
    )
    for flags in (["--fresh"], []):
        said = succeed(tmp_path, "benchmark", "novelty", *flags).out
        assert "A new table" in said
        assert "Table of novelty" not in said
