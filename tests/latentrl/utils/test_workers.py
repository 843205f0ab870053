"""Worker processes: objects of the parent, failures that are named, time limits, no orphans."""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import sys
import time
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from latentrl.utils import processes
from latentrl.utils.pipes import WorkerError
from latentrl.utils.workers import in_worker, in_workers
from tests.helpers import Clock

N = 2


class Collecting(Clock):
    """A clock that collects garbage in each reset."""

    def reset(self, **kwargs):
        gc.collect()
        return super().reset(**kwargs)


class Inherited:
    """A cycle, freed by the garbage collector alone, that writes the id of the process."""

    def __init__(self, file):
        self.file, self.itself = file, self

    def __del__(self):
        with self.file.open("a") as lines:
            lines.write(f"{os.getpid()}\n")


def test_workers_do_not_finalise_objects_of_their_parent(tmp_path):
    frozen = gc.get_freeze_count()  # Python 3.12 starts with some
    gc.disable()
    try:
        Inherited(tmp_path / "finalised")
        envs = in_workers([Collecting] * 2)
    finally:
        gc.enable()
    envs.reset(seed=0)
    envs.close()
    gc.collect()
    assert (tmp_path / "finalised").read_text().split() == [str(os.getpid())]
    assert gc.get_freeze_count() == frozen


class Failing(Clock):
    """A clock that fails in one method, if it is not the first environment."""

    def __init__(self, ident, method, fail):
        super().__init__(ident)
        self.method, self.fail = method, fail
        self.maybe_fail("__init__")

    def maybe_fail(self, method):
        if method == self.method and self.ident == 1:
            self.fail()

    def reset(self, **kwargs):
        self.maybe_fail("reset")
        return super().reset(**kwargs)

    def step(self, action):
        self.maybe_fail("step")
        return super().step(action)

    def close(self):
        self.maybe_fail("close")


def raise_(error):
    raise error


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    time.sleep(1000)


class TwoArguments(Exception):
    """An exception that can be pickled, but not read again."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


FAILURES = {
    "dies": (functools.partial(os._exit, 3), "is lost: its process ended with exit code 3"),
    "exits": (functools.partial(sys.exit, 4), "is lost: its process ended with exit code 4"),
    "killed": (kill, r"is lost: its process was killed by SIGKILL \(is there too little memory"),
    "hangs": (hang, "did not answer within 0.5 s"),
    "raises": (
        lambda: 1 / 0,
        r": it raised ZeroDivisionError in test_workers\.py, line \d+: div",
    ),
    "percent": (lambda: raise_(ValueError("50 % of %s")), ": 50 % of %s"),
    "unreadable": (
        lambda: raise_(TwoArguments(1, 2)),
        r": it raised TwoArguments in test_workers\.py, line \d+: 1 2",
    ),
}


def makers(method, fail):
    return [functools.partial(Failing, i, method, fail) for i in range(N)]


def run(envs):
    envs.reset(seed=0)
    envs.step(np.zeros(N, int))


@pytest.mark.parametrize("method", ["__init__", "reset", "step"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_names_the_environment_and_leaves_no_process(failure, method):
    fail, message = FAILURES[failure]
    error = ValueError if failure == "percent" else WorkerError
    before = {child.pid for child in multiprocessing.active_children()}
    envs = None
    with pytest.raises(error, match=f"^environment 1 ?{message}"):
        try:
            envs = in_workers(makers(method, fail), timeout=0.5)
            run(envs)
        finally:
            if envs is not None:
                envs.close()
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_the_traceback_of_the_worker_is_the_cause():
    envs = in_workers(makers("step", lambda: 1 / 0))
    with pytest.raises(WorkerError) as caught:
        run(envs)
    envs.close()
    assert "maybe_fail" in str(caught.value.__cause__)


@pytest.mark.parametrize("fail", [hang, kill, lambda: 1 / 0], ids=["hangs", "killed", "raises"])
def test_closing_neither_hangs_nor_raises(fail):
    envs = in_workers(makers("close", fail))
    envs.reset(seed=0)
    envs.step_async(np.zeros(N, int))  # and its answers are never read
    envs.close(timeout=0.3)
    assert not any(process.is_alive() for process in envs.processes)


@pytest.mark.parametrize("fails", [False, True])
def test_an_error_of_closing_is_one_line_and_comes_after_no_other(fails, capfd):
    class Closes(Failing):
        def step(self, action):
            return 1 / 0 if fails else super().step(action)

    envs = in_workers(
        [lambda i=i: Closes(i, "close", lambda: raise_(OSError("stuck"))) for i in (0, 1)]
    )
    with pytest.raises(WorkerError, match="division") if fails else contextlib.nullcontext():
        run(envs)
    envs.close()
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert ("environment 1: close raised OSError('stuck')" in error) is not fails


def _make_and_die(queue):
    envs = in_workers(makers("step", hang))
    envs.reset(seed=0)
    envs.step_async(np.zeros(N, int))
    queue.put([process.pid for process in envs.processes])
    queue.close()
    queue.join_thread()
    kill()


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
def test_workers_end_with_their_parent_even_in_the_middle_of_a_step():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    parent = context.Process(target=_make_and_die, args=(queue,))
    parent.start()
    workers = queue.get(timeout=20)
    parent.join()
    end = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.01)
    assert parent.exitcode == -signal.SIGKILL
    assert not any(map(is_running, workers))


def test_signals_of_the_whole_job_are_the_parents():
    envs = in_workers([Clock] * N)
    for process in envs.processes:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(process.pid, number)
    run(envs)
    envs.close()


def test_a_terminated_worker_ends_later(monkeypatch):
    monkeypatch.setattr(processes, "TERM_SECONDS", 0.1)
    envs = in_workers([Clock])
    envs.processes[0].terminate()
    envs.processes[0].join(10)
    assert envs.processes[0].exitcode == 1
    envs.close()


def _make_and_end(queue):
    envs = in_workers([Clock] * N)
    queue.put([process.pid for process in envs.processes])
    queue.close()
    queue.join_thread()
    multiprocessing.util._exit_function()  # with the workers open, as at the end of a script


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
def test_workers_that_nobody_closes_do_not_delay_the_end():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    parent = context.Process(target=_make_and_end, args=(queue,))
    parent.start()
    workers = queue.get(timeout=20)
    parent.join(20)
    assert parent.exitcode == 0
    assert not any(map(is_running, workers))


class Recorded(Clock):
    """A clock that writes in which process it is made."""

    def __init__(self, file):
        super().__init__()
        with file.open("a") as lines:
            lines.write(f"{os.getpid()}\n")


def test_no_environment_is_made_in_the_parent(tmp_path):
    file = tmp_path / "made"
    envs = in_workers([functools.partial(Recorded, file)] * N, AutoresetMode.SAME_STEP)
    run(envs)
    envs.close()
    made = list(map(int, file.read_text().split()))
    assert len(made) == N + 1
    assert os.getpid() not in made
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.metadata["environment"] == {"id": "Recorded"}
    assert envs.single_observation_space == Clock().observation_space


def test_the_keyword_arguments_of_an_environment_are_described():
    make = functools.partial(gym.make, "CartPole-v1", sutton_barto_reward=True)
    envs = in_workers([make] * N)
    envs.close()
    assert envs.metadata["environment"] == {
        "id": "CartPole-v1",
        "kwargs": {"sutton_barto_reward": True},
    }
    assert envs.metadata["package"] == f"gymnasium {gym.__version__}"


def test_a_function_runs_in_a_process_of_its_own():
    assert in_worker(os.getpid) != os.getpid()
    with pytest.raises(ValueError, match=r"^50 %$"):
        in_worker(lambda: raise_(ValueError("50 %")))
    with pytest.raises(WorkerError, match=r"^it raised ZeroDivisionError in .*: division by zero$"):
        in_worker(lambda: 1 / 0)
    with pytest.raises(WorkerError, match=r"^the environment did not answer within 0\.1 s"):
        in_worker(hang, timeout=0.1)


def test_a_graphics_context_is_not_inherited(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: None)
    monkeypatch.setattr(processes, "sys", SimpleNamespace(platform="linux", modules={}))
    assert not processes.has_gl_context()
    assert processes.start_method() == "fork"
    monkeypatch.setattr(processes, "_current", lambda library, function: "EGL" in library)
    assert processes.has_gl_context()
    assert processes.start_method() == "forkserver"
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "spawn")
    assert processes.start_method() == "spawn"
