"""Quantile regression DQN, of sb3-contrib."""

from __future__ import annotations

from dataclasses import replace

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
    )
