"""Parallel runs of the study of sparse rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.studies.sparse_rewards import subject
from scripts.studies.sparse_rewards.subject import SparseRewards
from scripts.studies.sparse_rewards.tasks import RESULTS, Run


def test_only_runs_without_a_result_are_performed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    results = {"none": RESULTS / "KeyRooms" / "none-0.json", "rnd": tmp_path / "rnd-0.json"}
    monkeypatch.setattr(Run, "result", property(lambda run: results.get(run.bonus, tmp_path / "x")))
    started: list[str] = []

    def in_turn(function: Any, calls: Any, jobs: int) -> Any:
        assert (function, jobs) == (subject.perform, 1)
        for number, (run,) in enumerate(calls):
            started.append(run.name)
            yield (run,), number

    monkeypatch.setattr(subject, "each_in_a_process", in_turn)
    SparseRewards(task=("KeyRooms",), bonus=("none", "rnd", "icm"), seeds=1, jobs=1).run()
    assert started == ["KeyRooms/rnd-0", "KeyRooms/icm-0"]
    assert capsys.readouterr().out.splitlines() == [
        f"1 of 2: KeyRooms/rnd-0: {tmp_path / 'rnd-0.json'}",
        "2 of 2: KeyRooms/icm-0: FAILED",
    ]


def test_unknown_task_is_refused_before_the_processes_start() -> None:
    with pytest.raises(ValueError, match="unknown task 'Chess'; known: "):
        SparseRewards(task=("Chess",)).run()
