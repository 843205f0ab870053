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
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import AddRenderObservation, ResizeObservation

from envs.envpool import SUPPORTED, EnvPoolVectorEnv
from envs.families import defaults_for
from envs.minigrid.vector import (
    MULTI_ROOM,
    DrawnVectorEnv,
    MiniGridVectorEnv,
    envpool_has,
    see_pixels,
    see_surroundings,
)
from envs.registry import register_package
from envs.wrappers import EpisodeSeeds, FrameSkip, PickObservation
from latentrl.utils.workers import in_workers

BACKENDS = ("auto", "envpool", "gymnasium")
MINIGRID = "MiniGrid-"


@dataclass(frozen=True)
class Environment:
    """Which environment, and what it looks like to the agent; goes to JSON as it is."""

    id: str
    """A Gymnasium id, or ``module:Class`` of a custom environment."""
    frame_skip: int = 1
    """Environment frames for each decision; where the environment skips frames itself (ALE), 1
    keeps its own skip."""
    discrete: bool = False
    """Discrete actions, for environments that offer both kinds (CarRacing)."""
    render_size: int | None = None
    """Side of the square rendered image that replaces the observation; None keeps the
    observation."""
    key: str | None = None
    """Which observation of a Dict space to see; None for other spaces."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)


def make_env(
    environment: Environment,
    render_mode: str | None = None,
    seeds: Sequence[int] = (),
    undrawn: bool = False,
) -> gym.Env[Any, Any]:
    """Make one environment.

    Args:
        environment: which.
        render_mode: passed to Gymnasium.
        seeds: seeds of its episodes, in order; none leaves them to ``reset``.
        undrawn: leave the drawing of MiniGrid to ``DrawnVectorEnv``.

    Raises:
        ValueError: ``module:Class`` names nothing that makes an environment, or its package is not
            installed.
        gymnasium.error.Error: the id is unknown; the message lists similar ones.
    """
    see = see_surroundings if undrawn else see_pixels
    env = _see(environment, _create(environment.id, _options(environment, render_mode)), see)
    if environment.frame_skip > 1 and not defaults_for(environment.id).native_frame_skip:
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
        backend: ``"envpool"``, ``"gymnasium"``, or ``"auto"`` for EnvPool where it has the
            environment.
        seed: seed of the environments, where ``reset`` gets none.
        episode_seeds: for each environment the seeds of its episodes; Gymnasium only.
        render_mode: passed to Gymnasium.

    Raises:
        ValueError: the backend is unknown, EnvPool cannot make this environment, or its package is
            not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    if backend == "envpool" or (
        backend == "auto" and not episode_seeds and _envpool_has(environment)
    ):
        envs = _make_envpool(environment, n_envs, seed)
    else:
        envs = _make_gymnasium(environment, n_envs, episode_seeds, render_mode)
    envs.metadata = {**envs.metadata, "environment": environment.to_json()}
    return envs


def _options(environment: Environment, render_mode: str | None) -> dict[str, Any]:
    settings = defaults_for(environment.id)
    options: dict[str, Any] = {}
    if environment.discrete and settings.has_discrete_variant:
        options["continuous"] = False
    if environment.frame_skip > 1 and settings.native_frame_skip:
        options["frameskip"] = environment.frame_skip
    if environment.render_size or render_mode:
        options["render_mode"] = "rgb_array" if environment.render_size else render_mode
    return options


def _see(
    environment: Environment,
    env: gym.Env[Any, Any],
    see_minigrid: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]],
) -> gym.Env[Any, Any]:
    if environment.render_size:
        env = AddRenderObservation(env, render_only=True)
        env = ResizeObservation(env, (environment.render_size, environment.render_size))
    elif environment.id.startswith(MINIGRID):
        env = see_minigrid(env)
    return env if environment.key is None else PickObservation(env, environment.key)


def _create(name: str, options: dict[str, Any]) -> gym.Env[Any, Any]:
    module, _, attribute = name.partition(":")
    if not attribute:
        register_package(name)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", ".*is out of date", DeprecationWarning
            )  # an older version by intention
            return gym.make(name, **options)
    maker = getattr(_import(module, name), attribute, None)
    if maker is None:
        return gym.make(name, **options)
    if not callable(maker):
        raise ValueError(
            f"{name} is not callable: expected a class or a function that makes a gymnasium.Env"
        )
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
        raise ValueError(
            f"cannot import {module!r} for {name}; run from the folder that has {module}.py"
        ) from error


def _make_gymnasium(
    environment: Environment,
    n_envs: int,
    episode_seeds: Sequence[Sequence[int]],
    render_mode: str | None,
) -> VectorEnv[Any, Any, Any]:
    seeds: Sequence[Sequence[int]] = episode_seeds or [()] * n_envs
    undrawn = environment.id.startswith(MINIGRID) and not environment.render_size
    makers: list[Callable[[], gym.Env[Any, Any]]] = [
        functools.partial(_make_anywhere, environment, render_mode, seeds[i], undrawn)
        for i in range(n_envs)
    ]
    if undrawn:
        return DrawnVectorEnv(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))
    if n_envs == 1 or not defaults_for(environment.id).workers:
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    return in_workers(makers, AutoresetMode.SAME_STEP)


def _make_anywhere(
    environment: Environment, render_mode: str | None, seeds: Sequence[int], undrawn: bool
) -> gym.Env[Any, Any]:
    if multiprocessing.parent_process() is not None:
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl-C is for the main process, which then closes the workers
    return make_env(environment, render_mode, seeds, undrawn)


def _envpool_has(environment: Environment) -> bool:
    if environment.render_size or environment.key or importlib.util.find_spec("envpool") is None:
        return False
    return (
        envpool_has(environment.id)
        if environment.id.startswith(MINIGRID)
        else environment.id in SUPPORTED
    )


def _make_envpool(environment: Environment, n_envs: int, seed: int) -> VectorEnv[Any, Any, Any]:
    if importlib.util.find_spec("envpool") is None:
        raise ValueError(
            "backend 'envpool' needs the package: pip install 'latentrl[fast]', or use 'gymnasium'"
        )
    if environment.id.startswith(MULTI_ROOM):
        raise ValueError(
            f"EnvPool's levels of {environment.id} are not MiniGrid's: rooms overlap, and many cannot be solved; "
            "use backend 'gymnasium'"
        )
    if not _envpool_has(environment):
        raise ValueError(
            f"EnvPool cannot serve {environment.id} here; it can serve {', '.join(SUPPORTED)} and most of "
            f"{MINIGRID}*: use backend 'gymnasium'"
        )
    register_package(environment.id)
    maker = MiniGridVectorEnv if environment.id.startswith(MINIGRID) else EnvPoolVectorEnv
    discrete = environment.discrete and defaults_for(environment.id).has_discrete_variant
    return maker(environment.id, n_envs, environment.frame_skip, discrete, seed)
