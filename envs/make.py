"""Make one environment, or many at once on Gymnasium or EnvPool."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import AddRenderObservation, ResizeObservation

from envs.settings import settings_for
from envs.wrappers import EpisodeSeeds, FrameSkip, PickObservation

BACKENDS = ("auto", "envpool", "gymnasium")


@dataclass(frozen=True)
class Environment:
    """Which environment, and what it looks like to the agent; goes to JSON as it is."""

    id: str
    """A Gymnasium id, or ``module:Class`` of a custom environment."""
    frame_skip: int = 1
    """Environment frames for each decision."""
    discrete: bool = False
    """Discrete actions, for environments that offer both kinds (CarRacing)."""
    render_size: int | None = None
    """Side of the square rendered image that replaces the observation; None keeps the observation."""
    key: str | None = None
    """Which observation of a Dict space to see; None for other spaces."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)


def make_env(environment: Environment, render_mode: str | None = None, seeds: Sequence[int] = ()) -> gym.Env[Any, Any]:
    """Make one environment.

    Args:
        environment: which.
        render_mode: passed to Gymnasium.
        seeds: seeds of its episodes, in order; none leaves them to ``reset``.

    Raises:
        ValueError: ``module:Class`` names nothing that makes an environment.
        gymnasium.error.Error: the id is unknown; the message lists similar ones.
    """
    options = {"continuous": False} if environment.discrete and settings_for(environment.id).both_actions else {}
    mode = "rgb_array" if environment.render_size else render_mode
    env = _create(environment.id, {**options, **({"render_mode": mode} if mode else {})})
    if environment.render_size:
        env = AddRenderObservation(env, render_only=True)
        env = ResizeObservation(env, (environment.render_size, environment.render_size))
    if environment.key is not None:
        env = PickObservation(env, environment.key)
    if environment.frame_skip > 1:
        env = FrameSkip(env, environment.frame_skip)
    return EpisodeSeeds(env, seeds) if seeds else env


def make_vector(
    environment: Environment,
    n_envs: int,
    *,
    backend: str = "auto",
    seed: int = 0,
    episode_seeds: Sequence[Sequence[int]] = (),
    render_mode: str | None = None,
) -> VectorEnv[Any, Any, Any]:
    """Make ``n_envs`` environments that step together and reset in the step that ends an episode.

    Args:
        environment: which.
        n_envs: how many.
        backend: ``"envpool"``, ``"gymnasium"``, or ``"auto"`` for EnvPool where it has the environment.
        seed: seed of the environments, where ``reset`` gets none.
        episode_seeds: for each environment the seeds of its episodes; Gymnasium only.
        render_mode: passed to Gymnasium.

    Raises:
        ValueError: the backend is unknown, or EnvPool cannot make this environment.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    if backend == "envpool" or (backend == "auto" and not episode_seeds and _envpool_has(environment)):
        envs = _make_envpool(environment, n_envs, seed)
    else:
        envs = _make_gymnasium(environment, n_envs, episode_seeds, render_mode)
    envs.metadata = {**envs.metadata, "environment": environment.to_json()}
    return envs


def _create(name: str, options: dict[str, Any]) -> gym.Env[Any, Any]:
    module, _, attribute = name.partition(":")
    if not attribute:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)  # CarRacing-v2, by intention
            return gym.make(name, **options)
    maker = getattr(_import(module, name), attribute, None)
    if maker is None:
        return gym.make(name, **options)
    if not callable(maker):
        raise ValueError(f"{name} is not callable: expected a class or a function that makes a gymnasium.Env")
    if options:
        _check_takes(maker, name, options)
    env = maker(**options)
    if not isinstance(env, gym.Env):
        raise ValueError(f"{name} made a {type(env).__name__}, expected a gymnasium.Env")
    return env


def _check_takes(maker: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
    try:
        inspect.signature(maker).bind(**options)
    except TypeError as error:
        raise ValueError(
            f"{name} cannot be made with {', '.join(options)} ({error}); pictures need an argument render_mode"
        ) from error


def _import(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"cannot import {module!r} for {name}; run from the folder that has {module}.py") from error


def _make_gymnasium(
    environment: Environment, n_envs: int, episode_seeds: Sequence[Sequence[int]], render_mode: str | None
) -> VectorEnv[Any, Any, Any]:
    seeds: Sequence[Sequence[int]] = episode_seeds or [()] * n_envs
    makers: list[Callable[[], gym.Env[Any, Any]]] = [
        functools.partial(_make_anywhere, environment, render_mode, seeds[i]) for i in range(n_envs)
    ]
    if n_envs == 1 or not settings_for(environment.id).workers:
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    return AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def _make_anywhere(environment: Environment, render_mode: str | None, seeds: Sequence[int]) -> gym.Env[Any, Any]:
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which then closes the workers
    return make_env(environment, render_mode, seeds)


def _envpool_has(environment: Environment) -> bool:
    if environment.render_size or importlib.util.find_spec("envpool") is None:
        return False
    from envs.envpool import SUPPORTED

    return environment.id in SUPPORTED


def _make_envpool(environment: Environment, n_envs: int, seed: int) -> VectorEnv[Any, Any, Any]:
    if importlib.util.find_spec("envpool") is None:
        raise ValueError("backend 'envpool' needs the package: pip install 'latentrl[fast]', or use 'gymnasium'")
    from envs.envpool import SUPPORTED, EnvPoolVectorEnv

    if not _envpool_has(environment):
        raise ValueError(
            f"EnvPool cannot serve {environment.id} here; it can serve {', '.join(SUPPORTED)}: use backend 'gymnasium'"
        )
    return EnvPoolVectorEnv(environment.id, n_envs, environment.frame_skip, environment.discrete, seed)
