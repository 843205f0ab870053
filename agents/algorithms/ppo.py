"""Proximal policy optimization."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec, Hyperparameters, Space
from latentrl.types import Array

GSDE = ("use_sde", "sde_sample_freq", "log_std_init")


@ALGORITHMS.register("ppo")
def ppo() -> AlgorithmSpec:
    """Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347)."""
    return AlgorithmSpec(
        source="stable_baselines3:PPO",
        action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        hyperparams=HYPERPARAMS / "ppo.yml",
        adapt=without_gsde_where_discrete,
        value=state_value,
    )


def state_value(model: BaseAlgorithm, observations: Any) -> Array:
    """Return the value function V(s) of an actor-critic policy, ``(B,)``."""
    policy: Any = model.policy
    with torch.no_grad():
        values: Array = policy.predict_values(policy.obs_to_tensor(observations)[0]).cpu().numpy()
    return values[:, 0]


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
