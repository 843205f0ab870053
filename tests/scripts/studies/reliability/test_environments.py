"""Jobs of the catalogue, with a catalogue whose outcomes are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scripts.studies.reliability import environments
from scripts.studies.reliability.extent import Extent


@pytest.fixture
def calls(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(environments, "FOLDER", tmp_path)

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
    assert sorted(calls) == [
        ("Bad", "one", "a"),
        ("Bad", "two", "b"),
        ("Good", "two", "a"),
        ("Good", "two", "b"),
    ]
    assert study.rows[0].metric == "jobs with 2 kinds, of 4"
    assert study.rows[0].value == 2
    assert study.tables[0].rows == [["one", "1", "1"], ["two", "3", "1"]]
    assert study.tables[1].rows == [["Bad", "all of it", "2", "2"], ["Good", "nothing", "2", "0"]]
    assert capsys.readouterr().out.count("wrong: Bad") == 2


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


def test_many_hosts_take_turns_with_the_algorithms(calls, monkeypatch):
    kinds = environments.catalogue().KINDS
    kinds["Good"].hosts = ("one", "two", "three", "four")
    found = [job[1:] for job in environments.combinations() if job[0] is kinds["Good"]]
    assert found == [("one", "b"), ("two", "a"), ("three", "b"), ("four", "a")]


def test_an_interrupted_run_goes_on_with_what_is_missing_or_wrong(calls, monkeypatch, tmp_path):
    def interrupted(kind, host, algorithm):
        if len(calls) == 3:
            raise KeyboardInterrupt
        return outcome(kind, host, algorithm)

    module = environments.catalogue()
    outcome = module.outcome
    monkeypatch.setattr(module, "outcome", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environments.study(Extent(100))
    right = {call for call in calls if call[0] == "Good"}
    (progress,) = (tmp_path / "reliability").iterdir()
    progress.write_text(progress.read_text() + '[7, {"ki')
    calls.clear()
    monkeypatch.setattr(module, "outcome", outcome)
    study = environments.study(Extent(100))
    assert len(calls) == 4 - len(right)
    assert not right & set(calls)
    assert study.rows[0].metric == "jobs with 2 kinds, of 4"
    assert not progress.exists()
