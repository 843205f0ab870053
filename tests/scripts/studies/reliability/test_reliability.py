"""The subject: its flags reach the parts."""

from __future__ import annotations

import pytest

from scripts.studies.core import Result, Row, Study
from scripts.studies.reliability import COUNTS, Reliability
from scripts.studies.reliability.extent import Extent, wrong_row


def echo(extent):
    """Echo."""
    return Study([Row(repr(extent), float(extent.count))])


@pytest.mark.parametrize(
    ("flags", "extent"),
    [
        ({}, Extent(COUNTS["files"], 0, None)),
        ({"count": 7, "seed": 3}, Extent(7, 3, None)),
    ],
)
def test_flags_reach_the_part(flags, extent, monkeypatch, tmp_path):
    monkeypatch.setattr(Result, "folder", tmp_path)
    monkeypatch.setattr(Reliability, "parts", {"files": echo})
    subject = Reliability(part=("files",), **flags)
    subject.run()
    assert Result("reliability", "files").read().rows[0].metric == repr(extent)


def test_every_part_has_a_count():
    assert COUNTS.keys() == Reliability.parts.keys()


def test_the_cases_of_an_extent():
    assert list(Extent(3).numbers()) == [0, 1, 2]
    assert list(Extent(3, case=9).numbers()) == [9]


def test_one_wrong_outcome_misses_the_goal():
    assert wrong_row("files", 5_000, 0).reached
    assert wrong_row("files", 5_000, 1).reached is False
    assert wrong_row("files", 5_000, 0).metric == "files, of 5,000"


def test_a_single_case_leaves_the_result(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Result, "folder", tmp_path)
    monkeypatch.setattr(Reliability, "parts", {"files": echo})
    Reliability(part=("files",), count=7).run()
    before = Result("reliability", "files").file.read_bytes()
    Reliability(part=("files",), case=3, fresh=True).run()
    assert "case=3" in capsys.readouterr().out
    assert Result("reliability", "files").file.read_bytes() == before


def test_a_fresh_run_that_is_interrupted_leaves_no_old_result(monkeypatch, tmp_path):
    def interrupted(extent):
        """Stop."""
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Result, "folder", tmp_path)
    monkeypatch.setattr(Reliability, "parts", {"files": echo})
    Reliability(part=("files",)).run()
    monkeypatch.setattr(Reliability, "parts", {"files": interrupted})
    with pytest.raises(KeyboardInterrupt):
        Reliability(part=("files",), fresh=True).run()
    assert not Result("reliability", "files").file.exists()
