"""Codes in place of observations, for one ``gymnasium.Env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from latentrl.types import Encoder, Novelty
from latentrl.wrappers.encode import LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards


class LatentObservation(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Replaces observations by their codes; ``wrap`` chooses it for a ``gymnasium.Env``.

    With a saved encoder and without a novelty, ``env.spec`` goes to JSON and back. A novelty's
    bonus is added to the reward; the task's own stays in ``info["extrinsic_reward"]``.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        encoder: Encoder | str | Path,
        key: str | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Arguments and errors as in ``wrap``."""
        self.transform = LatentTransform(encoder, env.observation_space, key)
        self.payment = None if novelty is None else IntrinsicRewards(novelty, 1)
        recorded = {
            "encoder": self.transform.recorded,
            "key": key,
            **({} if novelty is None else {"novelty": novelty}),
        }
        RecordConstructorArgs.__init__(self, **recorded, _disable_deepcopy=True)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = self.transform.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and encode the first observation."""
        code, info = super().reset(seed=seed, options=options)
        if self.payment is not None:
            self.payment.begin(self.transform, np.ones(1, bool))
        return code, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and encode the observation."""
        if self.payment is None:
            return super().step(action)
        self.payment.act(np.asarray(action)[None])
        code, reward, terminated, truncated, info = super().step(action)
        bonus = float(self.payment.pay(self.transform, np.empty(0, int), np.ones(1, bool))[0])
        info = {**info, "extrinsic_reward": reward, "intrinsic_reward": bonus}
        return code, float(reward) + bonus, terminated, truncated, info

    def observation(self, observation: Any) -> Any:
        """Return the code of one observation, or the Dict with its code in it."""
        return self.transform.single(observation)
