"""Soft actor-critic."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec
from latentrl.types import Array


@ALGORITHMS.register("sac")
def sac() -> AlgorithmSpec:
    """Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905).

    The entropy coefficient of its section 5 is learned. It is a torch variable outside the policy;
    a checkpoint holds it, as all variables that SB3 lists.
    """
    return AlgorithmSpec(
        source="stable_baselines3:SAC",
        action_spaces=(spaces.Box,),
        hyperparams=HYPERPARAMS / "sac.yml",
        value=mode_value,
    )


def mode_value(model: BaseAlgorithm, observations: Any) -> Array:
    """Return the lesser Q of both critics for the mode of the policy, ``(B,)``."""
    policy: Any = model.policy
    tensors = policy.obs_to_tensor(observations)[0]
    with torch.no_grad():
        critics = policy.critic(tensors, policy.actor(tensors, deterministic=True))
    values: Array = torch.cat(critics, 1).amin(1).cpu().numpy()
    return values
