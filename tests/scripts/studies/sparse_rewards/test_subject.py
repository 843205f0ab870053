"""Parallel runs of the study of sparse rewards."""

from __future__ import annotations

import pytest

from scripts.studies.sparse_rewards.subject import SparseRewards
from scripts.studies.sparse_rewards.tasks import RESULTS


@pytest.mark.slow  # a worker process imports everything anew
def test_finished_runs_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = RESULTS / "KeyRooms" / "none-0.json"
    before = file.stat().st_mtime_ns
    SparseRewards(task=("KeyRooms",), bonus=("none",), seeds=1, jobs=1).run()
    assert capsys.readouterr().out == f"1 of 1: {file}\n"
    assert file.stat().st_mtime_ns == before


def test_unknown_task_is_refused_before_the_workers_start() -> None:
    with pytest.raises(ValueError, match="unknown task 'Chess'; known: "):
        SparseRewards(task=("Chess",)).run()
