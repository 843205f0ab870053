"""Codes in place of observations, for a Gymnasium ``VectorEnv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from latentrl.types import Array, Encoder
from latentrl.wrappers.transform import LatentTransform


class LatentVectorObservation(VectorWrapper[Any, Any, Any, Any, Any]):
    """Replaces observations, and ``infos["final_obs"]``, by their codes in one batch a step."""

    def __init__(self, env: VectorEnv[Any, Any, Any], encoder: Encoder | str | Path, key: str | None = None) -> None:
        """Arguments and errors as in ``wrap``."""
        super().__init__(env)
        self.transform = LatentTransform(encoder, env.single_observation_space, key)
        self.single_observation_space = self.transform.space
        self.observation_space = batch_space(self.transform.space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset, and encode the first observations."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return self.transform.batch(observations)[0], infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and encode every observation together with those that ended an episode."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = final_indices(infos, terminated | truncated)
        finals = [infos["final_obs"][i] for i in ended]
        codes, final_codes = self.transform.batch(observations, finals)
        if len(ended):
            infos = {**infos, "final_obs": np.full(self.num_envs, None, dtype=object)}
            for i, code in zip(ended, final_codes, strict=True):
                infos["final_obs"][i] = code
        return codes, rewards, terminated, truncated, infos


def final_indices(infos: dict[str, Any], done: Array) -> Array:
    """Return which environments have an entry in ``infos["final_obs"]``.

    Some vector environments give no ``_final_obs`` mask; there the ended ones have an entry.
    """
    if "final_obs" not in infos:
        return np.empty(0, int)
    return np.flatnonzero(infos.get("_final_obs", done))
