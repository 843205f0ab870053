"""A memory of one number: how often an episode has had the code that an agent sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from latentrl.novelty.counters import EpisodicCounter, Hasher
from latentrl.types import Array

__all__ = ["VecEpisodicCount"]


class VecEpisodicCount(VecEnvWrapper):
    """Appends 1 / sqrt(n) to each code, at the n-th visit of it in the episode.

    An agent without memory that comes back to a view does again what it did there before, and may
    go to and fro for ever. Here it can tell that it has come back.
    """

    def __init__(self, venv: VecEnv, width: float = 0.1) -> None:
        """Watch the codes ``(B, latent_dim)`` of ``venv``.

        Args:
            venv: what ``wrap`` returned.
            width: steps to which codes are rounded to tell whether two are the same.

        Raises:
            ValueError: the observations are not codes, or the width is not positive.
        """
        space = venv.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(
                f"visits are counted of codes (latent_dim,), got observations {space}: wrap them first"
            )
        low, high = np.append(space.low, 0), np.append(space.high, 1)
        super().__init__(
            venv, observation_space=spaces.Box(low.astype(np.float32), high.astype(np.float32))
        )
        self._hasher, self._visits = Hasher("grid", width=width), EpisodicCounter()

    def reset(self) -> Array:
        """Begin new episodes everywhere."""
        return self.restart(np.asarray(self.venv.reset()))

    def restart(self, codes: Array) -> Array:
        """Forget all visits but those of ``codes (B, latent_dim)``, and return these with
        theirs.
        """
        self._visits.forget(np.arange(self.num_envs))
        return self._visit(codes)

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """Finish the step; the last code of an episode is told how often the episode had had it,
        too.
        """
        codes, rewards, dones, infos = self.venv.step_wait()
        ended = np.flatnonzero(dones)
        if len(ended):
            finals = np.stack([infos[i]["terminal_observation"] for i in ended])
            for i, final in zip(
                ended, self._told(finals, ended, self._hasher(finals)), strict=True
            ):
                infos[i]["terminal_observation"] = final
            self._visits.forget(ended)
        return self._visit(np.asarray(codes)), rewards, dones, infos

    def _visit(self, codes: Array) -> Array:
        every, keys = np.arange(self.num_envs), self._hasher(codes)
        told = self._told(codes, every, keys)
        self._visits.add(every, keys)
        return told

    def _told(self, codes: Array, rows: Array, keys: Array) -> Array:
        visits = self._visits.of(rows, keys)
        told: Array = np.column_stack([codes, 1 / np.sqrt(visits + 1.0)]).astype(np.float32)
        return told
