"""Soft actor-critic."""

from __future__ import annotations

from gymnasium import spaces

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
    )
