"""Episodic count of each latent, as one more value of the observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from latentrl.novelty.counters import EpisodicCounter, LatentHash
from latentrl.types import Array
from latentrl.wrappers.sb3 import LatentVecEnv

__all__ = ["VecEpisodicCount"]


class VecEpisodicCount(VecEnvWrapper):
    """Appends 1 / sqrt(n) to each latent, n its count in the episode.

    A policy without memory takes the same action whenever an observation returns, and may go to and
    fro until the episode ends. With the count in its observation it can take another one.
    """

    def __init__(self, venv: VecEnv, width: float = 0.1) -> None:
        """Count the latents ``(B, latent_dim)`` of ``venv``.

        Args:
            venv: what ``wrap`` returned.
            width: grid width to which latents are rounded, in units of the latent.

        Raises:
            ValueError: the observations are no latents, or ``width`` is not positive.
        """
        space = venv.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(
                "VecEpisodicCount counts latents (latent_dim,), "
                f"got observations {space}: wrap the environment first"
            )
        low = np.append(space.low, 0).astype(np.float32)
        high = np.append(space.high, 1).astype(np.float32)
        super().__init__(venv, observation_space=spaces.Box(low, high))
        self._hash, self._counter = LatentHash("grid", width=width), EpisodicCounter()

    def reset(self) -> Array:
        """Reset, and start all counts again."""
        return self.restart(np.asarray(self.venv.reset()))

    def restart(self, latents: Array) -> Array:
        """Return ``latents (B, latent_dim)`` with counts of 1, as first ones of their episodes."""
        return self._start(np.arange(self.num_envs), latents)

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """Finish the step; terminal observations get the count in the episode that they end."""
        latents, rewards, dones, infos = self.venv.step_wait()
        latents, ended = np.asarray(latents), np.flatnonzero(dones)
        finals = [i for i in ended if "terminal_observation" in infos[i]]
        reached = latents.copy()
        for i in finals:
            reached[i] = infos[i]["terminal_observation"]
        env_ids, keys = np.arange(self.num_envs), self._keys(reached)
        counts = self._counter.count(env_ids, keys) + 1
        self._counter.increment(env_ids, keys)
        counted = _append(reached, counts)
        for i in finals:
            infos[i]["terminal_observation"] = counted[i].copy()
        if len(ended):
            counted[ended] = self._start(ended, latents[ended])
        return counted, rewards, dones, infos

    def _keys(self, latents: Array) -> Array:
        """Return the keys of the latents that a step reached, those of the bonus if it has them."""
        host = self.venv if isinstance(self.venv, LatentVecEnv) else None
        of_bonus = None if host is None or host.intrinsic is None else host.intrinsic.transitions
        # Those of a step that lost a terminal observation lack its environment.
        if of_bonus is None or len(of_bonus) < len(latents):
            return self._hash(latents)
        return self._hash.of(of_bonus)

    def _start(self, env_ids: Array, latents: Array) -> Array:
        self._counter.reset(env_ids)
        self._counter.increment(env_ids, self._hash(latents))
        return _append(latents, np.ones(len(env_ids)))


def _append(latents: Array, counts: Array) -> Array:
    appended: Array = np.column_stack([latents, 1 / np.sqrt(counts)]).astype(np.float32)
    return appended
