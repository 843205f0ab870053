"""Processes of the study: answers, crashes, hangs and limits."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from scripts.studies.reliability.processes import (
    MIB,
    Answer,
    Worker,
    ended_within,
    exit_name,
    members,
    start,
    status,
)


def act(what):
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "exit":
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    if what == "memory":
        return len(bytearray(300 * MIB))
    return what


@pytest.fixture
def worker():
    with contextlib.closing(Worker(act, 5, 200 * MIB)) as made:
        yield made


def test_a_worker_answers_and_survives_the_death_of_its_process(worker):
    assert worker(7) == Answer(7)
    assert worker("crash") == Answer(ended="killed by SIGSEGV")
    assert worker("exit") == Answer(ended="ended with status 3")
    assert worker([1, 2]) == Answer([1, 2])


def test_a_hang_is_ended():
    with contextlib.closing(Worker(act, 0.2)) as worker:
        assert worker("hang") == Answer(ended="no answer in 0.2 s")
        assert worker(1) == Answer(1)


def test_memory_is_limited(worker):
    with pytest.raises(RuntimeError, match="MemoryError"):
        worker("memory")


def test_an_error_of_the_study_is_raised():
    with (
        contextlib.closing(Worker(int, 5)) as worker,
        pytest.raises(RuntimeError, match="invalid literal"),
    ):
        worker("x")


def test_what_a_process_prints_is_logged(tmp_path):
    process = start(print, "hello", log=tmp_path / "log")
    assert ended_within(process, 10)
    assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "hello\n"


def test_the_whole_group_is_killed(tmp_path):
    process = start(_fork_and_wait, log=tmp_path / "log")
    deadline = time.monotonic() + 10
    while len(members(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(members(process.pid)) == 2
    assert not ended_within(process, 0)
    deadline = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert members(process.pid) == []


def _fork_and_wait():
    os.fork()
    time.sleep(60)


def test_ends_in_words():
    assert exit_name(-9) == "killed by SIGKILL"
    assert exit_name(1) == "ended with status 1"


def test_the_status_of_this_process():
    assert status("VmRSS") > 1000
    assert status("Threads") >= 1
