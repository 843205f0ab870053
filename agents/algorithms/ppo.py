"""Proximal policy optimization."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec
from latentrl.types import Array


@ALGORITHMS.register("ppo")
def ppo() -> AlgorithmSpec:
    """Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347)."""
    return AlgorithmSpec(
        source="stable_baselines3:PPO",
        action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        hyperparams=HYPERPARAMS / "ppo.yml",
        value=state_value,
    )


def state_value(model: BaseAlgorithm, observations: Any) -> Array:
    """Return the value function V(s) of an actor-critic policy, ``(B,)``."""
    policy: Any = model.policy
    with torch.no_grad():
        values: Array = policy.predict_values(policy.obs_to_tensor(observations)[0]).cpu().numpy()
    return values[:, 0]
