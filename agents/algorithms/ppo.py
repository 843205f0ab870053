"""Proximal policy optimization."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec, Hyperparameters, Space
from latentrl.types import Array

CONTINUOUS = "continuous"
"""Key of the hyperparameters that replace others where actions are continuous."""


@ALGORITHMS.register("ppo")
def ppo() -> AlgorithmSpec:
    """Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347)."""
    return AlgorithmSpec(
        source="stable_baselines3:PPO",
        action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        hyperparams=HYPERPARAMS / "ppo.yml",
        adapt=for_actions,
        value=state_value,
    )


def state_value(model: BaseAlgorithm, observations: Any) -> Array:
    """Return the value function V(s) of an actor-critic policy, ``(B,)``."""
    policy: Any = model.policy
    with torch.no_grad():
        values: Array = policy.predict_values(policy.obs_to_tensor(observations)[0]).cpu().numpy()
    return values[:, 0]


def for_actions(hyperparameters: Hyperparameters, action_space: Space) -> Hyperparameters:
    """Return the hyperparameters with those of continuous actions merged in, or left out."""
    general = {name: value for name, value in hyperparameters.items() if name != CONTINUOUS}
    own = hyperparameters.get(CONTINUOUS, {})
    if not own or not isinstance(action_space, spaces.Box):
        return general
    policy = {**general.get("policy_kwargs", {}), **own.get("policy_kwargs", {})}
    return {**general, **own, "policy_kwargs": policy}
