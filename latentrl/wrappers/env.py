"""Codes in place of observations, for one ``gymnasium.Env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from latentrl.types import Encoder
from latentrl.wrappers.transform import LatentTransform


class LatentObservation(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Replaces observations by their codes; ``wrap`` chooses it for a ``gymnasium.Env``.

    With a saved encoder, ``env.spec`` goes to JSON and back.
    """

    def __init__(self, env: gym.Env[Any, Any], encoder: Encoder | str | Path, key: str | None = None) -> None:
        """Arguments and errors as in ``wrap``."""
        self.transform = LatentTransform(encoder, env.observation_space, key)
        RecordConstructorArgs.__init__(self, encoder=self.transform.recorded, key=key, _disable_deepcopy=True)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = self.transform.space

    def observation(self, observation: Any) -> Any:
        """Return the code of one observation, or the Dict with its code in it."""
        return self.transform.single(observation)
