"""Calls in processes of their own, one core each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any

Arguments = tuple[Any, ...]


def each_in_a_process(
    function: Callable[..., object], calls: Sequence[Arguments], jobs: int
) -> Iterator[tuple[Arguments, int]]:
    """Call ``function`` with each of ``calls``, ``jobs`` at a time, and yield as they finish.

    A call that fails, even by a crash of a simulator, ends no other one.

    Yields:
        The arguments and the exit status of the process: 0 without an error.
    """
    # A process reads it at its import of torch: idle OpenMP threads would spin on other cores.
    os.environ["OMP_NUM_THREADS"] = "1"
    cores: SimpleQueue[int] = SimpleQueue()
    for number in range(jobs):
        cores.put(number)

    running: dict[int, SpawnProcess] = {}

    def call(arguments: Arguments) -> int:
        core = cores.get()
        process = SpawnProcess(target=_on_core, args=(core, function, arguments))
        process.start()
        running[core] = process
        process.join()
        cores.put(core)
        return process.exitcode or 0

    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {pool.submit(call, arguments): arguments for arguments in calls}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running.values():
            process.terminate()
        raise
    finally:
        pool.shutdown()


def _on_core(core: int, function: Callable[..., object], arguments: Arguments) -> None:
    """Call ``function`` on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        usable = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {usable[core % len(usable)]})
    function(*arguments)
