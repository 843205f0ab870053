"""Jobs that are stopped: toy jobs that do everything right, or one thing wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from scripts.studies.reliability import kills
from scripts.studies.reliability.extent import Extent
from scripts.studies.reliability.jobs import COUNTER, JOBS, Job
from scripts.studies.reliability.kills import Stop, Stopper, summary

TOTAL = 40


def work(save=True, fail=False, orphan=False, leave=False, pause=0.001):
    """Count to ``TOTAL`` in a file, one step every ``pause`` seconds."""
    if orphan and os.fork() == 0:
        time.sleep(60)
    if fail and Path("progress").exists():
        sys.exit(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    for step in range(saved(), TOTAL):
        time.sleep(pause)
        if save:
            write(step + 1)
        COUNTER.value = step + 1
    write(TOTAL)
    if leave:
        Path(".progress.1.tmp").write_text("")


def write(step):
    """Write atomically: a signal between the two halves of a plain write would lose all steps."""
    Path("new").write_text(str(step))
    Path("new").replace("progress")


def saved():
    text = Path("progress").read_text() if Path("progress").exists() else ""
    return int(text or 0)


def job(**options):
    return Job("toy", TOTAL, lambda: work(**options), saved, lambda: str(saved()))


def stops(monkeypatch, folder, made, sent=signal.SIGTERM, count=2):
    monkeypatch.setattr(kills, "JOBS", (made,))
    monkeypatch.setattr(kills, "SIGNALS", (sent,))
    monkeypatch.setattr(kills, "GRACE", 0.3)
    monkeypatch.setattr(kills, "warm", lambda function: None)
    stopper = Stopper(folder, seed=0)
    return [stopper.stop(number) for number in range(count)]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_job_that_saves_is_right(sent, tmp_path, monkeypatch):
    # Slow enough for a busy machine to stop the two jobs at different steps.
    found = stops(monkeypatch, tmp_path / "work", job(pause=0.01), sent)
    assert [stop.wrong for stop in found] == [""] * 2
    assert len({stop.reached for stop in found}) > 1
    assert all(stop.signal.startswith(sent.name) for stop in found)


def test_lost_progress_is_found(tmp_path, monkeypatch):
    found = stops(monkeypatch, tmp_path / "work", job(save=False))
    assert any(stop.wrong.endswith("are saved") for stop in found)


def test_lost_progress_is_right_after_a_kill(tmp_path, monkeypatch):
    found = stops(monkeypatch, tmp_path / "work", job(save=False), signal.SIGKILL)
    assert [stop.wrong for stop in found] == [""] * 2


def test_a_job_that_cannot_be_resumed_is_found(tmp_path, monkeypatch):
    found = stops(monkeypatch, tmp_path / "work", job(fail=True))
    assert any("cannot be resumed, ended with status 1" in stop.wrong for stop in found)


def test_orphans_are_found(tmp_path, monkeypatch):
    found = stops(monkeypatch, tmp_path / "work", job(orphan=True), signal.SIGKILL, count=1)
    assert found[0].wrong == "1 processes are left"


def test_temporary_files_are_found(tmp_path, monkeypatch):
    found = stops(monkeypatch, tmp_path / "work", job(leave=True), count=1)
    assert found[0].wrong == "left behind: .progress.1.tmp"


def test_a_file_that_does_not_load_is_found(tmp_path, monkeypatch):
    def broken():
        raise ValueError("no file")

    made = Job("toy", TOTAL, work, broken, lambda: "")
    found = stops(monkeypatch, tmp_path / "work", made, count=1)
    assert found[0].wrong == "what is on disk does not load: ValueError: no file"


def test_another_result_is_found(tmp_path, monkeypatch):
    count = tmp_path / "count"

    def result():
        count.write_text(count.read_text() + "." if count.exists() else "")
        return count.read_text()

    found = stops(monkeypatch, tmp_path / "work", Job("toy", TOTAL, work, saved, result), count=1)
    assert found[0].wrong == "the result is not that of a job without an interruption"


def test_wrong_outcomes_are_printed_with_their_number(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kills, "JOBS", (job(leave=True),))
    monkeypatch.setattr(kills, "warm", lambda function: None)
    found = list(kills._reported(Extent(1, seed=3), Stopper(tmp_path / "work", 3)))
    assert found[0].wrong
    assert "--part kills --seed 3 --case 0" in capsys.readouterr().out


def test_table():
    name = JOBS[0].name
    found = [Stop(name, "SIGINT", 3, 3, ""), Stop(name, "SIGINT", 3, 1, "lost")]
    study = summary([*found, Stop(JOBS[1].name, "SIGKILL", 3, 3, "")])
    assert study.rows[0].value == 1
    assert study.tables[0].columns == ["job", "SIGINT", "SIGKILL"]
    assert study.tables[0].rows[0] == [name, "1 of 2", "0 of 0"]
