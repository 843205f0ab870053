"""Jobs of the catalogue, with a catalogue whose outcomes are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scripts.studies.reliability import environments
from scripts.studies.reliability.extent import Extent


@pytest.fixture
def calls(monkeypatch):
    made = []

    def outcome(kind, host, algorithm):
        made.append((kind.name, host, algorithm))
        return SimpleNamespace(right=kind.name != "Bad", message="collect failed")

    kinds = [
        SimpleNamespace(name="Bad", summary="all of it", hosts=("one", "two")),
        SimpleNamespace(name="Good", summary="nothing", hosts=("two",)),
    ]
    module = SimpleNamespace(
        KINDS={kind.name: kind for kind in kinds}, ALGORITHMS={"a": 1, "b": 2}, outcome=outcome
    )
    monkeypatch.setattr(environments, "catalogue", lambda: module)
    return made


def test_all_combinations_run_once(calls, capsys):
    study = environments.study(Extent(100))
    hosts = [("Bad", "one"), ("Bad", "two"), ("Good", "two")]
    assert sorted(calls) == [(*job, algorithm) for job in hosts for algorithm in "ab"]
    assert study.rows[0].metric == "jobs with 2 kinds, of 6"
    assert study.rows[0].value == 4
    assert study.tables[0].rows == [["one", "2", "2"], ["two", "4", "2"]]
    assert study.tables[1].rows == [["Bad", "all of it", "4", "4"], ["Good", "nothing", "2", "0"]]
    assert capsys.readouterr().out.count("wrong: Bad") == 4


def test_fewer_combinations(calls):
    environments.study(Extent(3, seed=1))
    assert len(set(calls)) == 3


def test_one_case_repeats_a_wrong_outcome(calls, capsys):
    environments.study(Extent(100))
    line = next(line for line in capsys.readouterr().out.splitlines() if "--case" in line)
    failed = next(call for call in calls if call[0] == "Bad")
    calls.clear()
    environments.study(Extent(100, case=int(line.split()[-1])))
    assert calls == [failed]
