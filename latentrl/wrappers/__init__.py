"""wrap(): latents in place of observations, for every kind of environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import gymnasium as gym
from gymnasium.vector import VectorEnv

from latentrl.types import Encoder, Novelty
from latentrl.wrappers.env import LatentObservation
from latentrl.wrappers.vector import LatentVectorObservation

if TYPE_CHECKING:
    from latentrl.wrappers.sb3 import LatentVecEnv, VecEnv


@overload
def wrap(
    env: gym.Env[Any, Any],
    encoder: Encoder | str | Path,
    *,
    key: str | None = None,
    novelty: Novelty | None = None,
) -> LatentObservation: ...


@overload
def wrap(
    env: VectorEnv[Any, Any, Any],
    encoder: Encoder | str | Path,
    *,
    key: str | None = None,
    novelty: Novelty | None = None,
) -> LatentVectorObservation: ...


@overload
def wrap(
    env: VecEnv,
    encoder: Encoder | str | Path,
    *,
    key: str | None = None,
    novelty: Novelty | None = None,
) -> LatentVecEnv: ...


def wrap(
    env: Any,
    encoder: Encoder | str | Path,
    *,
    key: str | None = None,
    novelty: Novelty | None = None,
) -> Any:
    """Replace the observations of ``env`` by their latents.

    Args:
        env: a ``gymnasium.Env``, a Gymnasium ``VectorEnv`` of any autoreset mode, or an SB3
            ``VecEnv``.
        encoder: an object with ``latent_space`` and ``encode``, or what ``load`` takes: the folder
            or ``hf://user/name`` of a model, which is loaded once for all environments.
        key: which observation of a Dict space to replace; the others stay.
        novelty: an object with ``score`` and ``update``, such as ``NormalizedBonus(HashCounts())``,
            whose bonus is added to the reward. The infos hold both terms as ``extrinsic_reward``
            and ``intrinsic_reward``. ``intrinsic.training = False`` of the wrapper leaves the bonus
            as it is, for an evaluation.

    Returns:
        A wrapper of the same kind as ``env``. The encoder runs once per step, on one batch of all
        frames of the step, terminal observations included.

    Raises:
        ValueError: the encoder does not take the observations of the environment, or ``key`` is
            wrong.
        TypeError: ``env`` is none of the three kinds, or ``novelty`` is no novelty bonus.

    Warns:
        UserWarning: ``encoder`` is a model that was never fitted. ``fit`` with ``steps=0`` keeps
            weights on purpose, and a ``random`` model or one that was loaded gives no warning.
    """
    if isinstance(env, gym.Env):
        return LatentObservation(env, encoder, key, novelty)
    if isinstance(env, VectorEnv):
        return LatentVectorObservation(env, encoder, key, novelty)
    # Not at the top, so that the library imports without Stable-Baselines3.
    from latentrl.wrappers.sb3 import LatentVecEnv, VecEnv

    if isinstance(env, VecEnv):
        return LatentVecEnv(env, encoder, key, novelty)
    raise TypeError(
        "expected a gymnasium.Env, a gymnasium VectorEnv or a Stable-Baselines3 VecEnv, "
        f"got {type(env).__name__}; make the environment first, for example with gymnasium.make"
    )


__all__ = ["LatentObservation", "LatentVectorObservation", "wrap"]
