"""Quantile regression DQN, of sb3-contrib."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec
from agents.algorithms.dqn import dqn
from latentrl.types import Array


@ALGORITHMS.register("qrdqn")
def qrdqn() -> AlgorithmSpec:
    """Quantile regression DQN (Dabney et al. 2018, arXiv:1710.10044).

    It explores and updates its target network as DQN does, though SB3's class does not extend it.
    """
    return replace(
        dqn(),
        source="sb3_contrib:QRDQN",
        hyperparams=HYPERPARAMS / "qrdqn.yml",
        requirement="latentrl[contrib]",
        value=greedy_mean,
    )


def greedy_mean(model: BaseAlgorithm, observations: Any) -> Array:
    """Return the mean of the greedy action's quantiles, ``(B,)``."""
    policy: Any = model.policy
    with torch.no_grad():
        quantiles = policy.quantile_net(policy.obs_to_tensor(observations)[0])
    values: Array = quantiles.mean(1).amax(1).cpu().numpy()
    return values
