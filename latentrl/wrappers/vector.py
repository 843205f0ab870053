"""Latents in place of observations, for a Gymnasium ``VectorEnv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from latentrl.data.contract import check_rewards
from latentrl.data.environment import check_inside
from latentrl.types import Array, Encoder, Novelty
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards


class LatentVectorObservation(VectorWrapper[Any, Any, Any, Any, Any]):
    """Replaces observations, and ``infos["final_obs"]``, by their latents in one batch per step.

    A novelty bonus is added to the rewards; ``infos["extrinsic_reward"]`` are the environment's.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        encoder: Encoder | str | Path,
        key: str | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Wrap ``env``; arguments and errors as in ``wrap``."""
        super().__init__(env)
        check_inside(env)
        self.transform = LatentTransform(encoder, env.single_observation_space, key)
        self.intrinsic = (
            None
            if novelty is None
            else IntrinsicRewards(novelty, env.num_envs, env.single_action_space)
        )
        self._resets = np.zeros(env.num_envs, bool)
        """Environments whose next step is a reset (NEXT_STEP)."""
        self._steps = 0
        self.single_observation_space = self.transform.space
        self.observation_space = batch_space(self.transform.space, env.num_envs)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and encode the first observations."""
        # Read before the call: Gymnasium removes the mask from the options.
        started = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        observations, infos = self.env.reset(seed=seed, options=options)
        latents = self.transform.batch(observations)[0]
        if self.intrinsic is not None:
            self.intrinsic.reset(self.transform, started)
        self._resets[started] = False
        return latents, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and encode all observations together with the terminal ones."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self._steps += 1
        check_rewards(rewards, f"at step {self._steps}")
        ended = final_indices(infos, terminated | truncated)
        finals = [infos["final_obs"][i] for i in ended]
        latents, final_latents = self.transform.batch(observations, finals, ended)
        if len(ended):
            infos = {**infos, "final_obs": np.full(self.num_envs, None, dtype=object)}
            for i, latent in zip(ended, final_latents, strict=True):
                infos["final_obs"][i] = latent
        if self.intrinsic is not None:
            step = (np.asarray(actions), terminated, truncated, ended)
            done = terminated | truncated
            lost = self.intrinsic.lost(done, ended) if self._same_step else np.zeros_like(done)
            bonus = self.intrinsic.step(self.transform, *step, ~(self._resets | lost))
            self._start_episodes(self.intrinsic, done, ended, lost)
            rewards, infos = _with_bonus(rewards, bonus, infos)
        return latents, rewards, terminated, truncated, infos

    @property
    def _same_step(self) -> bool:
        return bool(self.env.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP)

    def _start_episodes(
        self, intrinsic: IntrinsicRewards, done: Array, ended: Array, lost: Array
    ) -> None:
        # SAME_STEP: an ended environment has started its next episode in this step already.
        # NEXT_STEP: it starts in the next step, and this step has started those that ended before.
        started = self._resets | lost
        started[ended] = True
        intrinsic.start(started)
        if self.env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
            self._resets = done & ~self._resets


def _with_bonus(
    rewards: Array, bonus: Array, infos: dict[str, Any]
) -> tuple[Array, dict[str, Any]]:
    terms = {"extrinsic_reward": np.array(rewards, np.float64), "intrinsic_reward": bonus}
    masks = {f"_{name}": np.ones(len(bonus), bool) for name in terms}
    return rewards + bonus, {**infos, **terms, **masks}


def final_indices(infos: dict[str, Any], done: Array) -> Array:
    """Return the indices of the environments that have an entry in ``infos["final_obs"]``.

    Some vector environments have no ``_final_obs`` mask; there the entries are those of ``done``.
    """
    if "final_obs" not in infos:
        return np.empty(0, int)
    return np.flatnonzero(infos.get("_final_obs", done))
