"""Codes in place of observations, for a Gymnasium ``VectorEnv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from latentrl.types import Array, Encoder, Novelty
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards


class LatentVectorObservation(VectorWrapper[Any, Any, Any, Any, Any]):
    """Replaces observations, and ``infos["final_obs"]``, by their codes in one batch a step.

    A novelty's bonus is added to the rewards; the task's own stay in ``infos["extrinsic_reward"]``.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        encoder: Encoder | str | Path,
        key: str | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Arguments and errors as in ``wrap``."""
        super().__init__(env)
        self.transform = LatentTransform(encoder, env.single_observation_space, key)
        self.payment = None if novelty is None else IntrinsicRewards(novelty, env.num_envs)
        self._over = np.zeros(env.num_envs, bool)
        self.single_observation_space = self.transform.space
        self.observation_space = batch_space(self.transform.space, env.num_envs)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and encode the first observations."""
        begun = (options or {}).get(
            "reset_mask", np.ones(self.num_envs, bool)
        )  # Gymnasium removes it from the options
        observations, infos = self.env.reset(seed=seed, options=options)
        codes = self.transform.batch(observations)[0]
        if self.payment is not None:
            self.payment.begin(self.transform, begun)
        self._over[begun] = False
        return codes, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and encode every observation together with those that ended an episode."""
        if self.payment is not None:
            self.payment.act(actions)
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = final_indices(infos, terminated | truncated)
        finals = [infos["final_obs"][i] for i in ended]
        codes, final_codes = self.transform.batch(observations, finals)
        if len(ended):
            infos = {**infos, "final_obs": np.full(self.num_envs, None, dtype=object)}
            for i, code in zip(ended, final_codes, strict=True):
                infos["final_obs"][i] = code
        if self.payment is not None:
            rewards, infos = self._pay(self.payment, rewards, terminated | truncated, ended, infos)
        return codes, rewards, terminated, truncated, infos

    def _pay(
        self,
        payment: IntrinsicRewards,
        rewards: Array,
        done: Array,
        ended: Array,
        infos: dict[str, Any],
    ) -> tuple[Array, dict[str, Any]]:
        bonus = payment.pay(self.transform, ended, ~self._over)
        restarted = (
            self._over.copy()
        )  # in NEXT_STEP mode; in SAME_STEP mode the ended ones have begun again
        restarted[ended] = True
        payment.begin(self.transform, restarted)
        if self.env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
            self._over = done & ~self._over
        every = np.ones(self.num_envs, bool)
        own = {"extrinsic_reward": np.array(rewards, np.float64), "intrinsic_reward": bonus.copy()}
        return rewards + bonus, {**infos, **own, **{f"_{name}": every for name in own}}


def final_indices(infos: dict[str, Any], done: Array) -> Array:
    """Return which environments have an entry in ``infos["final_obs"]``.

    Some vector environments give no ``_final_obs`` mask; there the ended ones have an entry.
    """
    if "final_obs" not in infos:
        return np.empty(0, int)
    return np.flatnonzero(infos.get("_final_obs", done))
