"""Make one environment, or a vector of them on Gymnasium or EnvPool."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import AddRenderObservation, ResizeObservation, TimeLimit

from envs import envpool
from envs.families import FAMILIES, EnvFamily, EnvMaker, family_of
from envs.names import make_by_name, registered_id, takes_render_mode
from envs.shaping import Shaping
from envs.wrappers import ChannelsLast, EpisodeSeeds, FrameSkip, PickObservation
from latentrl.data.channels_first import is_surely_channels_first
from latentrl.data.environment import checked, checked_maker
from latentrl.utils.environments import raised
from latentrl.utils.processes import usable_cores
from latentrl.utils.workers import in_workers

BACKENDS = ("auto", "drawn", "envpool", "gymnasium")


@dataclass(frozen=True)
class Environment:
    """An environment and what the agent observes of it; goes to JSON as it is."""

    id: str
    """A name of the grammar of ``envs.names.make_by_name``."""
    frame_skip: int = 1
    """Environment frames per timestep; where the environment skips frames itself, 1 keeps its own
    frame skip."""
    discrete: bool = False
    """Discrete actions, for environments that have a discrete variant."""
    render_size: int | None = None
    """Side in pixels of the square rendered image that replaces the observation; None keeps the
    observation."""
    key: str | None = None
    """Key of the one observation of a Dict space to keep; None for other spaces."""
    max_episode_steps: int | None = None
    """Timesteps after which an episode is truncated, unless the environment ends it earlier; None
    leaves the ends of episodes to the environment."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a time limit below one timestep."""
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ValueError(
                f"max_episode_steps must be at least 1 timestep, got {self.max_episode_steps}; "
                "None sets no limit"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)


def make_env(
    environment: Environment, render_mode: str | None = None, seeds: Sequence[int] = ()
) -> gym.Env[Any, Any]:
    """Make one environment.

    Args:
        environment: which, and what is observed of it.
        render_mode: passed to Gymnasium.
        seeds: seeds of its episodes, in order; none leaves them to ``reset``.

    Raises:
        ValueError: ``environment.id`` names nothing that makes an environment, its package is not
            installed, or it exists in EnvPool alone.
        gymnasium.error.Error: the id is unknown; the message lists similar ones.
    """
    family = family_of(environment.id)
    _check_gymnasium_has(environment, family)
    return checked(_make_one(environment, family, render_mode, seeds))


def make_vector(
    environment: Environment,
    n_envs: int,
    *,
    backend: str = "auto",
    seed: int = 0,
    episode_seeds: Sequence[Sequence[int]] = (),
    render_mode: str | None = None,
    shaped: bool = False,
) -> VectorEnv[Any, Any, Any]:
    """Make ``n_envs`` environments that step together, with SAME_STEP autoreset.

    Args:
        environment: which, and what is observed of it.
        n_envs: number of environments.
        backend: ``"gymnasium"``; ``"drawn"`` for Gymnasium's with frames that the family draws
            faster; ``"envpool"``; or ``"auto"`` for the first one of drawn, EnvPool and Gymnasium
            that has the environment.
        seed: seed of the environments, where ``reset`` gets none.
        episode_seeds: for each environment the seeds of its episodes; Gymnasium only.
        render_mode: passed to Gymnasium.
        shaped: whether the family's ``Shaping`` judges the timesteps, for training.

    Raises:
        ValueError: the backend is unknown or cannot make this environment, a package is not
            installed, or the family has no shaping.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    if backend == "envpool" and episode_seeds:
        raise ValueError("EnvPool takes no episode seeds: use backend 'gymnasium'")
    family = family_of(environment.id)
    shaping = shaping_of(environment) if shaped else None
    if backend == "auto":
        backend = _backend_for(environment, family, bool(episode_seeds))
    if backend == "envpool":
        envs = _make_envpool(environment, family, n_envs, seed)
    else:
        _check_gymnasium_has(environment, family)
        if backend == "drawn":
            family = _drawing(environment, family)
        envs = _make_gymnasium(environment, family, n_envs, episode_seeds, render_mode)
    if shaping is not None:
        envs = shaping(envs, environment.frame_skip)
    envs.metadata = {**envs.metadata, "environment": environment.to_json()}
    return envs


def backend_of(environment: Environment) -> str:
    """Return what ``backend="auto"`` chooses without episode seeds."""
    return _backend_for(environment, family_of(environment.id), seeded=False)


def _make_one(
    environment: Environment,
    family: EnvFamily,
    render_mode: str | None,
    seeds: Sequence[int],
    observed: bool = True,
) -> gym.Env[Any, Any]:
    family.import_package(environment.id)
    env = make_by_name(environment.id, **_options(environment, family, render_mode))
    if environment.frame_skip > 1 and family.defaults.native_frame_skip is None:
        env = FrameSkip(env, environment.frame_skip)
    if environment.max_episode_steps is not None:
        env = TimeLimit(env, environment.max_episode_steps)  # outside, so that it counts timesteps
    if observed:
        # Outside the frame skip, so that the frames that it drops are neither rendered nor drawn.
        env = _observe(environment, family, env)
    return EpisodeSeeds(env, seeds) if seeds else env


def _options(
    environment: Environment, family: EnvFamily, render_mode: str | None
) -> dict[str, Any]:
    options = dict(family.options)
    if environment.discrete and family.defaults.has_discrete_variant:
        options["continuous"] = False
    if environment.frame_skip > 1 and family.defaults.native_frame_skip is not None:
        options[family.defaults.native_frame_skip] = environment.frame_skip
    # Without images to render, a video shows the observations.
    shown = render_mode is not None and takes_render_mode(environment.id)
    if environment.render_size or shown:
        options["render_mode"] = "rgb_array" if environment.render_size else render_mode
    return options


def _observe(
    environment: Environment, family: EnvFamily, env: gym.Env[Any, Any]
) -> gym.Env[Any, Any]:
    if environment.render_size:
        env = _observe_render(environment.id, env, environment.render_size)
    elif family.observe is not None:
        env = family.observe(env)
    if environment.key is not None:
        env = PickObservation(env, environment.key)
    space = env.observation_space
    first = isinstance(space, gym.spaces.Box) and is_surely_channels_first(space.shape)
    return ChannelsLast(env) if first else env


def _observe_render(env_id: str, env: gym.Env[Any, Any], size: int) -> gym.Env[Any, Any]:
    try:
        rendered = AddRenderObservation(env, render_only=True)
    except Exception as error:  # reset and render are the environment's own code
        raise ValueError(
            f"{env_id} cannot be observed by rendered images ({raised(error)}): it must take "
            'render_mode="rgb_array", keep it as render_mode, and render arrays (H, W, 3)'
        ) from error
    return ResizeObservation(rendered, (size, size))


def _make_gymnasium(
    environment: Environment,
    family: EnvFamily,
    n_envs: int,
    episode_seeds: Sequence[Sequence[int]],
    render_mode: str | None,
) -> VectorEnv[Any, Any, Any]:
    custom = None if environment.render_size or environment.key else family.vector
    # The family comes as an argument: a spawned worker has not imported a user's plugin.
    one = functools.partial(_make_one, environment, family, render_mode)
    seeds: Sequence[Sequence[int]] = episode_seeds or [()] * n_envs
    if custom is not None:
        return custom([functools.partial(one, seeds[i], observed=False) for i in range(n_envs)])
    makers: list[EnvMaker] = [
        functools.partial(checked_maker, functools.partial(one, seeds[i]), i) for i in range(n_envs)
    ]
    # On one core processes only wait for one another.
    if n_envs == 1 or not family.defaults.workers or usable_cores() == 1:
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    return in_workers(makers, AutoresetMode.SAME_STEP)


def shaping_of(environment: Environment) -> Callable[[VectorEnv[Any, Any, Any], int], Shaping]:
    """Return the shaping of the environment's family.

    Raises:
        ValueError: it has none, or none for these observations.
    """
    family = family_of(environment.id)
    if family.shaping is None:
        shaped = sorted(other.name for other in FAMILIES.values() if other.shaping)
        raise ValueError(f"{environment.id} has no shaping; families with one: {', '.join(shaped)}")
    if environment.render_size or environment.key:
        raise ValueError(
            f"the shaping of {environment.id} is for its own observations, not for rendered images "
            "or one key of them"
        )
    return family.shaping


def _check_gymnasium_has(environment: Environment, family: EnvFamily) -> None:
    if family.envpool_only:
        raise ValueError(
            f"{environment.id} exists in EnvPool alone, as a vector environment without episode "
            "seeds: use make_vector with backend 'envpool' (--backend envpool)"
        )


def _backend_for(environment: Environment, family: EnvFamily, seeded: bool) -> str:
    if seeded:
        return "gymnasium"
    if family.envpool_only:
        return "envpool"
    if _drawn_refusal(environment, family) is None:
        return "drawn"
    serves = envpool.is_installed() and _envpool_refusal(environment, family) is None
    return "envpool" if serves else "gymnasium"


def _drawn_refusal(environment: Environment, family: EnvFamily) -> str | None:
    if family.drawn is None:
        drawn = sorted(other.name for other in FAMILIES.values() if other.drawn)
        return f"families with one: {', '.join(drawn) or 'none'}"
    if environment.render_size or environment.key:
        return "it is for the environment's own observations, not for renders or one key of them"
    return None


def _drawing(environment: Environment, family: EnvFamily) -> EnvFamily:
    """Return the family with the drawing that is faster than the environment's."""
    refusal = _drawn_refusal(environment, family)
    if refusal:
        raise ValueError(
            f"{environment.id} has no faster drawing here ({refusal}): use backend 'gymnasium'"
        )
    return replace(family, observe=family.drawn)


def _envpool_refusal(environment: Environment, family: EnvFamily) -> str | None:
    if family.envpool is None:
        served = sorted(other.name for other in FAMILIES.values() if other.envpool)
        return f"it serves the families {', '.join(served)}"
    if environment.render_size:
        return "it renders no images"
    if environment.key:
        return "its observations have no keys here"
    return family.envpool.refusal(registered_id(environment.id))


def _make_envpool(
    environment: Environment, family: EnvFamily, n_envs: int, seed: int
) -> VectorEnv[Any, Any, Any]:
    remedy = "" if family.envpool_only else "; or use backend 'gymnasium'"
    if not envpool.is_installed():
        raise ValueError(
            f"{environment.id} on EnvPool needs the package: pip install 'latentrl[fast]'{remedy}"
        )
    refusal = _envpool_refusal(environment, family)
    if refusal or family.envpool is None:
        raise ValueError(f"EnvPool cannot serve {environment.id}: {refusal}{remedy}")
    family.import_package(environment.id)
    discrete = environment.discrete and family.defaults.has_discrete_variant
    env_id = registered_id(environment.id)
    skip, limit = environment.frame_skip, environment.max_episode_steps
    return family.envpool.make(env_id, n_envs, skip, discrete, seed, limit)
