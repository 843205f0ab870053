"""Latents in place of observations, for a Stable-Baselines3 ``VecEnv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from latentrl.types import Array, Encoder, Novelty
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards

__all__ = ["LatentVecEnv", "VecEnv"]


class LatentVecEnv(VecEnvWrapper):
    """Replaces observations, and terminal ones, by their latents in one batch per step.

    A novelty bonus is added to the rewards; ``infos[i]["extrinsic_reward"]`` is the environment's.
    """

    def __init__(
        self,
        venv: VecEnv,
        encoder: Encoder | str | Path,
        key: str | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Wrap ``venv``; arguments and errors as in ``wrap``."""
        self.transform = LatentTransform(encoder, venv.observation_space, key)
        self.intrinsic = None if novelty is None else IntrinsicRewards(novelty, venv.num_envs)
        self._actions: Array = np.empty(0)
        super().__init__(venv, observation_space=self.transform.space)

    def reset(self) -> Any:
        """Reset, and encode the first observations."""
        latents = self.transform.batch(self.venv.reset())[0]
        if self.intrinsic is not None:
            self.intrinsic.reset(self.transform, np.ones(self.num_envs, bool))
        return latents

    def step_async(self, actions: Array) -> None:
        """Pass the actions on, and keep them for the bonus."""
        self._actions = np.asarray(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Finish the step, and encode all observations together with the terminal ones."""
        observations, rewards, dones, infos = self.venv.step_wait()
        # Only where the step is done: an environment may return one info dict for ever, and so
        # the terminal observation of an old episode.
        ended = [infos[i] for i in np.flatnonzero(dones)]
        latents, finals = self.transform.batch(
            observations, [info["terminal_observation"] for info in ended]
        )
        for info, final in zip(ended, finals, strict=True):
            info["terminal_observation"] = final
        if self.intrinsic is not None:
            rewards = self._add_bonus(self.intrinsic, rewards, dones, infos)
        return latents, rewards, dones, infos

    def _add_bonus(
        self, intrinsic: IntrinsicRewards, rewards: Array, dones: Array, infos: list[dict[str, Any]]
    ) -> Array:
        limits = np.array([info.get("TimeLimit.truncated", False) for info in infos], bool)
        truncated = dones & limits
        step = (self._actions, dones & ~limits, truncated, np.flatnonzero(dones))
        bonus = intrinsic.step(self.transform, *step)
        intrinsic.start(dones)
        for info, reward, own in zip(infos, rewards, bonus, strict=True):
            info["extrinsic_reward"], info["intrinsic_reward"] = float(reward), float(own)
        # A new array: SB3 adds the value of truncated episodes to it, and the bare environment may
        # reuse its own.
        return (rewards + bonus).astype(np.float32)

    def encode_again(self) -> Array:
        """Return the newest latents under an encoder that was exchanged between two steps."""
        latents = self.transform.encode_again()
        if self.intrinsic is not None:
            self.intrinsic.store(self.transform)
        return latents
