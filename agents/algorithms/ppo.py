"""Proximal policy optimization."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec, Hyperparameters, Space

GSDE = ("use_sde", "sde_sample_freq", "log_std_init")


@ALGORITHMS.register("ppo")
def ppo() -> AlgorithmSpec:
    """Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347)."""
    return AlgorithmSpec(
        source="stable_baselines3:PPO",
        action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        hyperparams=HYPERPARAMS / "ppo.yml",
        adapt=without_gsde_where_discrete,
        value=critic_value,
    )


def critic_value(model: BaseAlgorithm, observations: Any) -> Tensor:
    """Value function of an actor-critic policy, ``(B,)``."""
    values: Tensor = model.policy.predict_values(observations)  # type: ignore[operator]
    return values.flatten()


def without_gsde_where_discrete(
    hyperparameters: Hyperparameters, action_space: Space
) -> Hyperparameters:
    """Return the hyperparameters, without those of gSDE where actions are not continuous.

    Generalized state-dependent exploration (Raffin et al. 2020, arXiv:2005.05719) is noise that is
    added to actions: a distribution over discrete actions has no place for it.
    """
    if isinstance(action_space, spaces.Box):
        return hyperparameters
    kept = {name: value for name, value in hyperparameters.items() if name not in GSDE}
    policy = {
        name: value
        for name, value in hyperparameters.get("policy_kwargs", {}).items()
        if name not in GSDE
    }
    return {**kept, "policy_kwargs": policy}
