"""Quantile regression DQN, of sb3-contrib."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec
from agents.algorithms.dqn import dqn


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


def greedy_mean(model: BaseAlgorithm, observations: Any) -> Tensor:
    """Largest mean of an action's quantiles, for each observation, ``(B,)``."""
    quantiles: Tensor = model.quantile_net(observations)  # type: ignore[attr-defined]
    return quantiles.mean(1).amax(1)
