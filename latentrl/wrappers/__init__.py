"""wrap(): agents see codes in place of observations, whatever hosts the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from latentrl.types import Encoder, Novelty
from latentrl.wrappers.env import LatentObservation
from latentrl.wrappers.vector import LatentVectorObservation


def wrap(
    env: Any, encoder: Encoder | str | Path, key: str | None = None, novelty: Novelty | None = None
) -> Any:
    """Replace the observations of ``env`` by their codes.

    Args:
        env: a ``gymnasium.Env``, a Gymnasium ``VectorEnv`` of any autoreset mode, or an SB3
            ``VecEnv``.
        encoder: an object with ``latent_space`` and ``encode``, or the folder of a saved model,
            which is loaded once however many environments use it.
        key: which observation of a Dict space to replace; the others stay.
        novelty: an object with ``score`` and ``update``, whose bonus is added to the reward, such
            as ``NormalizedBonus(HashCounts())``. The task's own reward stays in the infos as
            ``extrinsic_reward``.

    Returns:
        A wrapper of the same kind as ``env``. Every frame of a step, final ones included, goes
        through the encoder in one batch.

    Raises:
        ValueError: the encoder takes other observations than the environment gives, or ``key`` is
            wrong.
        TypeError: ``env`` is none of the three kinds.
    """
    if isinstance(env, gym.Env):
        return LatentObservation(env, encoder, key, novelty)
    if isinstance(env, VectorEnv):
        return LatentVectorObservation(env, encoder, key, novelty)
    from latentrl.wrappers.sb3 import LatentVecEnv, VecEnv

    if isinstance(env, VecEnv):
        return LatentVecEnv(env, encoder, key, novelty)
    raise TypeError(
        f"expected a gymnasium.Env, a gymnasium VectorEnv or a Stable-Baselines3 VecEnv, got {type(env).__name__}; "
        "make the environment first, for example with gymnasium.make"
    )


__all__ = ["LatentObservation", "LatentVectorObservation", "wrap"]
