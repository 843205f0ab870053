"""Latents in place of observations, for a Stable-Baselines3 ``VecEnv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecEnvWrapper

from latentrl.data.contract import check_rewards
from latentrl.data.environment import check_inside
from latentrl.types import Array, Encoder, Novelty
from latentrl.utils.pipes import WorkerPipe, stop_workers
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards

__all__ = ["LatentVecEnv", "VecEnv"]


def _watch(bare: Any) -> None:
    """Let the worker processes of a ``SubprocVecEnv`` be named where they fail."""
    if isinstance(bare, SubprocVecEnv) and not isinstance(bare.remotes[0], WorkerPipe):
        pairs = zip(bare.remotes, bare.processes, strict=True)
        bare.remotes = tuple(
            WorkerPipe(pipe, process, i) for i, (pipe, process) in enumerate(pairs)
        )


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
        check_inside(venv)
        self.transform = LatentTransform(encoder, venv.observation_space, key)
        self.intrinsic = (
            None if novelty is None else IntrinsicRewards(novelty, venv.num_envs, venv.action_space)
        )
        self._actions: Array = np.empty(0)
        self._steps = 0
        _watch(venv.unwrapped)
        super().__init__(venv, observation_space=self.transform.space)

    def close(self) -> None:
        """Close the environments; worker processes that do not answer are killed."""
        bare = self.venv.unwrapped
        if isinstance(bare, SubprocVecEnv):
            stop_workers(bare.processes, bare.remotes)
            bare.closed = True
        self.venv.close()

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
        self._steps += 1
        check_rewards(rewards, f"at step {self._steps}")
        # Only where the step is done: an environment may return one info dict for ever, and so
        # the terminal observation of an old episode.
        ended = np.array(
            [i for i in np.flatnonzero(dones) if "terminal_observation" in infos[i]], int
        )
        latents, finals = self.transform.batch(
            observations, [infos[i]["terminal_observation"] for i in ended], ended
        )
        for i, final in zip(ended, finals, strict=True):
            infos[i]["terminal_observation"] = final
        if self.intrinsic is not None:
            rewards = self._add_bonus(self.intrinsic, rewards, dones, infos, ended)
        return latents, rewards, dones, infos

    def _add_bonus(
        self,
        intrinsic: IntrinsicRewards,
        rewards: Array,
        dones: Array,
        infos: list[dict[str, Any]],
        ended: Array,
    ) -> Array:
        limits = np.array([info.get("TimeLimit.truncated", False) for info in infos], bool)
        truncated = dones & limits
        step = (self._actions, dones & ~limits, truncated, ended)
        bonus = intrinsic.step(self.transform, *step, ~intrinsic.lost(dones, ended))
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
