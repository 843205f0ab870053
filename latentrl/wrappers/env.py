"""Latents in place of observations, for one ``gymnasium.Env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from latentrl.data.environment import checked
from latentrl.types import Encoder, Novelty
from latentrl.wrappers.encode import NONE_ENDED, LatentTransform
from latentrl.wrappers.intrinsic import IntrinsicRewards


class LatentObservation(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Replaces observations by their latents; ``wrap`` returns it for a ``gymnasium.Env``.

    With a saved encoder and without a novelty bonus, ``env.spec`` can be written to JSON and read
    again. A bonus is added to the reward; ``info["extrinsic_reward"]`` is the environment's own.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        encoder: Encoder | str | Path,
        key: str | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Wrap ``env``; arguments and errors as in ``wrap``."""
        self.transform = LatentTransform(encoder, env.observation_space, key)
        self.intrinsic = None if novelty is None else IntrinsicRewards(novelty, 1, env.action_space)
        recorded = {"encoder": self.transform.recorded, "key": key}
        own = {} if novelty is None else {"novelty": novelty}
        RecordConstructorArgs.__init__(self, **recorded, **own, _disable_deepcopy=True)
        gym.ObservationWrapper.__init__(self, checked(env))
        self.observation_space = self.transform.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and encode the first observation."""
        latent, info = super().reset(seed=seed, options=options)
        if self.intrinsic is not None:
            self.intrinsic.reset(self.transform, np.ones(1, bool))
        return latent, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and encode the observation."""
        latent, reward, terminated, truncated, info = super().step(action)
        if self.intrinsic is None:
            return latent, reward, terminated, truncated, info
        ends = np.array([[terminated], [truncated]])
        step = (np.asarray(action)[None], *ends, NONE_ENDED)
        bonus = float(self.intrinsic.step(self.transform, *step)[0])
        info = {**info, "extrinsic_reward": reward, "intrinsic_reward": bonus}
        return latent, float(reward) + bonus, terminated, truncated, info

    def observation(self, observation: Any) -> Any:
        """Return the latent of one observation, or the Dict with its latent in it."""
        return self.transform.single(observation)
