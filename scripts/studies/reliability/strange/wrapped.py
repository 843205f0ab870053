"""Environments inside wrappers and vector environments that people put around them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.vec_env import (
    SubprocVecEnv,
    VecFrameStack,
    VecMonitor,
    VecTransposeImage,
)

import latentrl as lrl
from scripts.studies.reliability.strange.episodes import Endless
from scripts.studies.reliability.strange.interfaces import Strict
from scripts.studies.reliability.strange.kinds import IN_PROCESS, Ordinary, kind
from scripts.studies.reliability.strange.observations import terminal_observations_are_kept

SB3 = ("dummy", "subproc")
GYMNASIUM = (*IN_PROCESS[1:4], "workers", "async")


def has_curve(agent: Any) -> bool:
    """Whether the agent has records of episodes, each of the length of one."""
    return {entry["l"] for entry in agent.ep_info_buffer} == {Ordinary.length}


@kind(hosts=GYMNASIUM, vector=RecordEpisodeStatistics, learned=has_curve)
def VectorStatistics() -> gym.Env[Any, Any]:
    """RecordEpisodeStatistics around the vector environment."""
    return Ordinary()


@kind(hosts=SB3, vector=VecMonitor, learned=has_curve)
def VectorMonitored() -> gym.Env[Any, Any]:
    """VecMonitor inside the wrapper."""
    return Ordinary()


@kind(
    "the encoder takes",
    refused_by=("agent",),
    hosts=SB3,
    vector=functools.partial(VecFrameStack, n_stack=2),
)
def Stacked() -> gym.Env[Any, Any]:
    """VecFrameStack inside the wrapper, of which the encoder has no part."""
    return Ordinary()


@kind("wrap before VecTransposeImage", refused_by=("agent",), hosts=SB3, vector=VecTransposeImage)
def Transposed() -> gym.Env[Any, Any]:
    """VecTransposeImage inside the wrapper."""
    return Ordinary()


@kind(length=4, collected=lambda frames: frames.times.max() == 4)
def Limited() -> gym.Env[Any, Any]:
    """Endless episodes that TimeLimit truncates after 4 steps."""
    return gym.wrappers.TimeLimit(Endless(), 4)


class _ManyFromTwo(Strict):
    action_space = spaces.MultiDiscrete([2, 3], start=[2, -1])


@kind(refused="[aA]ction", works=True, hosts=(*IN_PROCESS[1:4], "workers", "async", "scripts"))
def NegativeStarts() -> gym.Env[Any, Any]:
    """MultiDiscrete actions that start at 2 and -1."""
    return _ManyFromTwo()


@functools.cache
def _encoder() -> lrl.Autoencoder:
    return lrl.random(Ordinary.observation_space, latent_dim=3)


@kind()
def WrappedInside() -> gym.Env[Any, Any]:
    """Environments that are wrapped one by one inside the vector environment."""
    return lrl.wrap(Ordinary(), _encoder())


def started_by(method: str) -> Callable[[Any], Any]:
    """Return a function that replaces a vector of ``WrappedInside`` by one of another method."""

    def restart(vector: Any) -> Any:
        vector.close()
        makers = [WrappedInside] * 2
        if isinstance(vector, SubprocVecEnv):
            return SubprocVecEnv(makers, method)
        return AsyncVectorEnv(makers, context=method, autoreset_mode=AutoresetMode.SAME_STEP)

    return restart


@kind(hosts=("async", "subproc"), vector=started_by("spawn"))
def WrappedAndSpawned() -> gym.Env[Any, Any]:
    """Wrapped environments inside workers that spawn starts."""
    return WrappedInside()


@kind(hosts=("async", "subproc"), vector=started_by("forkserver"))
def WrappedInServer() -> gym.Env[Any, Any]:
    """Wrapped environments inside workers that forkserver starts."""
    return WrappedInside()


class AnyAttribute(gym.Wrapper[Any, Any, Any, Any]):
    """A proxy that has every attribute."""

    def __getattr__(self, name: str) -> Any:
        """Return None for what the environment lacks."""
        return getattr(self.env, name, None) if name != "env" else None


@kind(collected=terminal_observations_are_kept)
def Proxied() -> gym.Env[Any, Any]:
    """A wrapper that has every attribute, None where there is no other."""
    return AnyAttribute(Ordinary())


@kind(collected=terminal_observations_are_kept)
class NewSpaces(Ordinary):
    """Spaces that are made again at each access."""

    @property
    def observation_space(self) -> Any:  # type: ignore[override]
        """A new space of the same values."""
        return spaces.Box(0, 255, Ordinary.observation_space.shape, "uint8")

    @property
    def action_space(self) -> Any:  # type: ignore[override]
        """A new space of the same values."""
        return spaces.Discrete(2)
