"""Soft actor-critic."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec


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
        value=critics_minimum,
    )


def critics_minimum(model: BaseAlgorithm, observations: Any) -> Tensor:
    """Smaller action value of the two critics, at the mode of the policy, ``(B,)``."""
    policy: Any = model.policy
    actions = policy.actor(observations, deterministic=True)
    return torch.cat(policy.critic(observations, actions), 1).amin(1)
