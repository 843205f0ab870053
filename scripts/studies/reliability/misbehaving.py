"""Whole jobs with misbehaving environments: collect, fit, wrap, train, play; with a time limit."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import re
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor

import latentrl as lrl
from agents.algorithms import find_algorithm
from agents.play import actor, play
from agents.venv import build_monitored
from envs import Environment, make_vector
from latentrl.data.environment import checked_maker
from latentrl.utils.workers import in_workers
from latentrl.wrappers.gymnasium_vecenv import GymnasiumVecEnv
from scripts.studies.reliability.strange import HOSTS, KINDS, Kind, Ordinary
from scripts.studies.reliability.strange.kinds import IN_PROCESS, IN_WORKERS, LIMIT, MAIN

__all__ = ["ALGORITHMS", "HOSTS", "KINDS", "Kind", "Outcome", "outcome"]

ALGORITHMS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "dqn": {"learning_starts": 8, "buffer_size": 200, "batch_size": 8},
}
"""Hyperparameters of algorithms, for a training of seconds."""
MODES = {
    "sync": AutoresetMode.NEXT_STEP,
    "sync_same_step": AutoresetMode.SAME_STEP,
    "sync_disabled": AutoresetMode.DISABLED,
}
USER_ERRORS = (ValueError, TypeError, FileNotFoundError, gym.error.Error)
FRAMES, TIMESTEPS, EPISODES = 60, 64, 2
ANSWER_SECONDS = 5.0
"""Seconds that a worker may take for an answer; the default, two minutes, is too long for a job."""
ORPHAN_SECONDS = 5.0
"""Seconds after the job in which its last process has to end."""


@dataclass(frozen=True)
class Stage:
    """One part of a job: collect and fit, or wrap, train and play."""

    name: str
    """What was done."""
    error: str = ""
    """Type and message of the error, empty without."""
    clear: bool = True
    """Whether the error is of a type that stands for a user's mistake."""
    warnings: tuple[str, ...] = ()
    """Messages of warnings."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    right: bool
    """Whether it is what the kind states."""
    message: str
    """Errors and warnings of all stages, or what is wrong."""
    seconds: float = field(default=0.0, compare=False)
    """Wall time."""


def outcome(kind: Kind, host: str, algorithm: str, seconds: float = 120.0) -> Outcome:
    """Run a job in a process of its own and judge what becomes of it.

    Args:
        kind: the environment, one of ``KINDS``.
        host: one of ``HOSTS``, that of the environments while the agent is trained.
        algorithm: one of ``ALGORITHMS``.
        seconds: time limit of the job; a job that takes longer is wrong.
    """
    _import_everything()
    start = time.perf_counter()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    job = context.Process(target=_job, args=(sender, kind, host, algorithm))
    job.start()
    sender.close()
    stages = _received(receiver, seconds)
    job.join(max(1.0, seconds - (time.perf_counter() - start)))
    exit_code = job.exitcode
    orphans = _end_group(int(job.pid or 0), wait=exit_code is not None)
    job.join()
    if stages is None:
        wrong = f"no result after {seconds:g} s" if exit_code is None else f"died: {exit_code}"
    elif exit_code is None:
        wrong = f"did not end within {seconds:g} s"
    else:
        wrong = "left a process behind" if orphans else ""
    message = "; ".join(_described(stage) for stage in stages or ())
    wrong = wrong or "; ".join(filter(None, (_wrong(kind, host, stage) for stage in stages or ())))
    took = time.perf_counter() - start
    return Outcome(not wrong, f"{wrong} ({message})" if wrong else message, took)


@functools.cache
def _import_everything() -> None:
    """Import what torch imports with the first optimizer, so that no fork has to, in seconds."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def _received(receiver: Connection, seconds: float) -> list[Stage] | None:
    try:
        stages: list[Stage] | None = receiver.recv() if receiver.poll(seconds) else None
    except EOFError:
        return None
    return stages


def _end_group(group: int, wait: bool) -> bool:
    """Kill what is left of a process group, and return whether there was anything."""
    deadline = time.monotonic() + ORPHAN_SECONDS * wait
    try:
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.01)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _wrong(kind: Kind, host: str, stage: Stage) -> str:
    """Return what is wrong with a stage, empty if nothing is."""
    if stage.error:
        if not kind.refused:
            return f"{stage.name} failed"
        # SB3's workers print what an environment raised, and end.
        lost = kind.own_error and host == "subproc" and "is lost: its process" in stage.error
        if not lost and not re.search(kind.refused, stage.error):
            return f"{stage.name} failed with another message than {kind.refused!r}"
        # SB3 refuses spaces by assertions.
        clear = stage.clear or kind.own_error or stage.error.startswith("AssertionError")
        return "" if clear else f"{stage.name} failed with a type that is no user's mistake"
    warned = any(re.search(kind.warns, message) for message in stage.warnings)
    if kind.warns and warned:
        return ""
    if not kind.works and stage.name in kind.refused_by:
        return f"{stage.name} accepted it"
    # The warning of a worker goes to its own standard error.
    needed = stage.name == "collect" and host in IN_PROCESS
    return f"{stage.name} did not warn" if kind.warns and needed else ""


def _described(stage: Stage) -> str:
    warned = "".join(f", warned: {message}" for message in stage.warnings)
    return f"{stage.name}: {stage.error or 'done'}{warned}"


def _job(sender: Connection, kind: Kind, host: str, algorithm: str) -> None:
    os.setsid()  # a group of its own, so that orphans can be found
    os.environ[MAIN] = str(os.getpid())
    torch.set_num_threads(1)  # the threads of the parent are not in this process
    in_workers.__defaults__ = (*in_workers.__defaults__[:-1], ANSWER_SECONDS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silence, stream)
    with tempfile.TemporaryDirectory() as folder:
        sender.send(run(kind, host, algorithm, Path(folder)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    connection.wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


def run(kind: Kind, host: str, algorithm: str, folder: Path) -> list[Stage]:
    """Run a job in this process; arguments as in ``outcome``.

    An agent is trained on the environment even if its frames are refused, with an encoder that is
    not fitted.
    """
    models: list[lrl.Autoencoder] = []

    def collected() -> None:
        models.append(_collect(kind, host, folder / "frames"))

    def trained() -> None:
        _train(kind, host, algorithm, models[0] if models else _untrained(kind))

    return [_stage("collect", collected), _stage("agent", trained)]


def _stage(name: str, work: Callable[[], None]) -> Stage:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # SystemExit of an environment, too
            error = raised
    said = tuple(dict.fromkeys(str(entry.message).partition("\n")[0] for entry in caught))
    if error is None:
        return Stage(name, warnings=said)
    message = f"{type(error).__name__}: {error}".partition("\n")[0]
    return Stage(name, message, isinstance(error, USER_ERRORS), said)


def _untrained(kind: Kind) -> lrl.Autoencoder:
    space = getattr(kind.make, "observation_space", None)
    if kind.key is not None and isinstance(space, spaces.Dict):
        space = space[kind.key]
    if not isinstance(space, spaces.Box):
        space = Ordinary.observation_space
    return lrl.random(space, latent_dim=2)


def _collect(kind: Kind, host: str, path: Path) -> lrl.Autoencoder:
    env, n_envs = _source(kind, host)
    with contextlib.nullcontext() if callable(env) else _closed(env):
        frames = lrl.collect(env, FRAMES, path, n_envs=n_envs, key=kind.key, progress=False)
    if kind.collected is not None and not kind.collected(frames):
        raise AssertionError("the collected frames are not those of the environment")
    model = lrl.beta_vae(frames.space, latent_dim=2)
    lrl.fit(model, frames, lrl.FitConfig(steps=2, batch_size=16, device="cpu"), progress=False)
    return model


def _source(kind: Kind, host: str) -> tuple[Any, int | None]:
    """Return what ``collect`` takes for a host, and the number of environments to make of it."""
    if host == "scripts":
        return make_vector(Environment(kind.path), 2), None
    if host in MODES:
        return _vector(kind, host), None
    return kind.make, 2 if host in IN_WORKERS else 1


@contextlib.contextmanager
def _closed(env: Any) -> Iterator[None]:
    """Close ``env`` at the end; an error of closing hides no other."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            env.close()
        raise
    env.close()


def _vector(kind: Kind, host: str) -> Any:
    makers = [kind.make] * 2
    if host in MODES:
        envs: Any = SyncVectorEnv(makers, autoreset_mode=MODES[host])
    elif host == "async":
        envs = AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    elif host == "workers":
        checks = [functools.partial(checked_maker, maker, i) for i, maker in enumerate(makers)]
        envs = in_workers(checks)
    else:
        # Fork, which is fast: the other methods import everything again.
        envs = DummyVecEnv(makers) if host == "dummy" else SubprocVecEnv(makers, "fork")
    return envs if kind.vector is None else kind.vector(envs)


def _train(kind: Kind, host: str, algorithm: str, model: lrl.Autoencoder) -> None:
    env = _wrapped(kind, host, model)
    with _closed(env):
        cls = find_algorithm(algorithm).cls
        policy = "MlpPolicy" if kind.key is None else "MultiInputPolicy"
        agent = cls(policy, env, device="cpu", **ALGORITHMS[algorithm]).learn(TIMESTEPS)
        _check_agent(kind, agent)
        # Only these have a monitor already.
        played = agent.env if host in ("env", "scripts") else VecMonitor(agent.env)
        lengths = play(played, actor(agent, True), EPISODES, limit=LIMIT).lengths
    # An episode that is cut at the limit is the last one of its environment.
    if set(lengths) != {kind.length}:
        raise AssertionError(f"episodes of {lengths} timesteps in place of {kind.length}")


def _wrapped(kind: Kind, host: str, model: lrl.Autoencoder) -> Any:
    """Return the environments that an agent takes, with latents of ``model``."""
    wrap = functools.partial(lrl.wrap, encoder=model, key=kind.key)
    if host == "env":
        return wrap(kind.make())
    if host == "scripts":
        return wrap(build_monitored(Environment(kind.path), n_envs=2, seed=0))
    if host in ("dummy", "subproc"):
        return wrap(_vector(kind, host))
    return GymnasiumVecEnv(wrap(_vector(kind, host)))


def _check_agent(kind: Kind, agent: BaseAlgorithm) -> None:
    if not all(torch.isfinite(values).all() for values in agent.policy.state_dict().values()):
        raise AssertionError("the weights of the agent are not finite")
    if kind.learned is not None and not kind.learned(agent):
        raise AssertionError("the agent is not what it should be")
