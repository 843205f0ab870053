"""Environments in worker processes that name what fails, and neither hang nor stay behind."""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import _async_worker

from latentrl.utils.environments import described
from latentrl.utils.pipes import CLOSE_TIMEOUT, TIMEOUT, Failure, WorkerPipe, stop_workers
from latentrl.utils.processes import become_worker, start_method, use_one_thread

EnvMaker = Callable[[], gym.Env[Any, Any]]


def in_workers(
    makers: Sequence[EnvMaker],
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
    timeout: float = TIMEOUT,
) -> WorkerVectorEnv:
    """Return a vector environment with one worker process per environment.

    No environment is made in this process: the first one is described by a process of its own, so
    that a graphics context never reaches workers by fork.

    Args:
        makers: one function per environment.
        autoreset_mode: autoreset mode of the vector environment.
        timeout: seconds that a worker may take to make, reset or step its environment.

    Raises:
        ValueError: an environment raised one; the message has its number.
        WorkerError: an environment raised something else, ended its process, or did not answer.
    """
    return WorkerVectorEnv(makers, autoreset_mode, timeout)


def in_worker(function: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Return the result of ``function``, without a trace of its run in the workers to come.

    It runs in a process of its own where workers are forked, and in this one otherwise.

    Raises:
        Exception: what ``function`` raised; in place of bugs, ``WorkerError``.
        WorkerError: the process ended without an answer, or did not answer in time.
    """
    if start_method() != "fork":
        return function()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(function, theirs), daemon=True)
    with _objects_frozen():
        process.start()
    theirs.close()
    try:
        return WorkerPipe(ours, process, None, timeout).recv()
    finally:
        stop_workers([process], [ours])


@contextlib.contextmanager
def _objects_frozen() -> Iterator[None]:
    # A forked worker inherits the objects of its parent but not their threads. Finalising one there
    # can crash it: an EnvPool waits for threads that do not exist. Frozen objects are never
    # collected.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class WorkerVectorEnv(AsyncVectorEnv[Any, Any]):
    """An ``AsyncVectorEnv`` with a time limit per answer and errors that name the environment."""

    def __init__(
        self, makers: Sequence[EnvMaker], autoreset_mode: AutoresetMode, timeout: float
    ) -> None:
        """Start the workers; arguments and errors as in ``in_workers``."""
        self.timeout = timeout
        described = in_worker(functools.partial(_describe, makers[0]), timeout)
        with _objects_frozen():
            super().__init__(
                [_Maker(maker, described) for maker in makers],
                context=start_method(),
                worker=_work,
                autoreset_mode=autoreset_mode,
            )

    def _check_spaces(self) -> None:
        # The first method that the constructor calls once the workers run.
        self.parent_pipes = [
            WorkerPipe(pipe, process, i, self.timeout)  # type: ignore[misc]
            for i, (pipe, process) in enumerate(zip(self.parent_pipes, self.processes, strict=True))
        ]
        # At the exit, before the workers get SIGTERM, which acts late, and are waited for.
        Finalize(self, stop_workers, (self.processes, self.parent_pipes, 0.0), exitpriority=0)
        try:
            super()._check_spaces()  # type: ignore[no-untyped-call]
        except BaseException:
            self.close(terminate=True)
            raise

    def close_extras(self, timeout: float | None = CLOSE_TIMEOUT, terminate: bool = False) -> None:
        """Close the environments; kill those that take longer than ``timeout`` seconds."""
        limit = 0.0 if terminate else CLOSE_TIMEOUT if timeout is None else timeout
        stop_workers(self.processes, self.parent_pipes, limit)


class _Maker:
    """Function that makes a worker's environment, and in the parent a description of it."""

    def __init__(self, maker: EnvMaker, described: dict[str, Any]) -> None:
        self.make, self.described = maker, described

    def __call__(self) -> gym.Env[Any, Any]:
        env: gym.Env[Any, Any] = gym.Env()
        for name, value in self.described.items():
            setattr(env, name, value)
        return env


class _Errors:
    """Stands for Gymnasium's queue of errors, whose entries go through the worker's pipe here."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.failed = False

    def put(self, entry: tuple[int, type[BaseException], BaseException, str]) -> None:
        self.failed = True
        self.pipe.send(Failure.of(entry[2], entry[3]))


def _describe(maker: EnvMaker) -> dict[str, Any]:
    env = maker()
    try:
        return {
            "observation_space": env.observation_space,
            "action_space": env.action_space,
            "metadata": {**described(env), **env.metadata},
            "render_mode": env.render_mode,
        }
    finally:
        env.close()


def _work(index: int, maker: Any, pipe: Connection, parent_pipe: Connection, *rest: Any) -> None:
    become_worker()
    shared_memory, _, *others = rest
    try:
        env = maker.fn.make()
        use_one_thread()
    except Exception as error:
        pipe.send(Failure.of(error, traceback.format_exc()))
        return
    errors: Any = _Errors(pipe)
    try:
        _async_worker(index, lambda: env, pipe, parent_pipe, shared_memory, errors, *others)
    except ConnectionError:  # the parent is gone
        return
    except Exception as error:  # of closing, which the parent does not wait for
        if not errors.failed:
            sys.stderr.write(f"environment {index}: close raised {error!r}\n")


def _answer(function: Callable[[], Any], pipe: Connection) -> None:
    become_worker()
    try:
        pipe.send(function())
    except Exception as error:
        pipe.send(Failure.of(error, traceback.format_exc()))
