"""The soak: growth is found, a killed stage is resumed, an interrupted soak continues."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from latentrl.utils.io import write_json
from scripts.studies.reliability import soak
from scripts.studies.reliability.extent import Extent
from scripts.studies.reliability.soak import GROWTH, Round, summary

KEPT: list[object] = []


def settled(**changes):
    return Round(**{"seconds": 1.0, "mebibytes": 300.0, "files": 9, "threads": 2, **changes})


def test_nothing_grows():
    study = summary([settled(files=30)] * 2 + [settled()] * 12)
    assert [row.value for row in study.rows] == [0] * (1 + len(GROWTH))
    assert all(row.reached for row in study.rows)
    assert study.tables[0].caption.startswith("14 rounds in 0 minutes")


@pytest.mark.parametrize("name", GROWTH)
def test_growth_is_found(name):
    metric, limit = GROWTH[name]
    step = 1 + limit / 6
    study = summary([settled(**{name: 10 + round(step * number)}) for number in range(16)])
    reached = {row.metric: row.reached for row in study.rows}
    assert reached.pop(f"growth of {metric}") is False
    assert all(reached.values())


def test_failures_are_counted():
    assert summary([settled(), settled(wrong="died")]).rows[0].value == 1


def open_file():
    KEPT.append(Path("kept").open("w"))  # noqa: SIM115


@pytest.fixture
def stages(tmp_path, monkeypatch):
    def use(*made):
        monkeypatch.setattr(soak, "_stages", lambda seed, algorithm: list(made))
        monkeypatch.setattr(soak, "FOLDER", tmp_path)
        monkeypatch.setattr(soak, "LONGEST_WAIT", 0.01)
        monkeypatch.setattr(soak, "PAUSE", 0.0)
        measured = soak._measured  # every round lasts as long
        monkeypatch.setattr(soak, "_measured", lambda _, *rest: measured(0.25, *rest))

    return use


@pytest.mark.slow
def test_rounds_are_measured_in_one_process(stages):
    stages(open_file)
    study = soak.study(Extent(2))
    rows = {row.metric: row for row in study.rows}
    assert rows["growth of open files"].reached is False
    assert rows["growth of threads"].reached


@pytest.mark.slow
def test_a_failure_is_reported(stages, capsys):
    stages(lambda: os.rmdir("nothing"))
    assert soak.study(Extent(1)).rows[0].value >= 1
    assert "wrong: round 0: FileNotFoundError" in capsys.readouterr().out


def test_a_soak_that_was_interrupted_continues(stages, tmp_path):
    stages(lambda: None)
    record = tmp_path / "reliability" / "soak.json"
    write_json(record, [dataclasses.asdict(settled(seconds=500.0))] * 3)
    assert soak.study(Extent(1_000)).rows[0].metric == "rounds that failed, of 3"
    assert not record.exists()
