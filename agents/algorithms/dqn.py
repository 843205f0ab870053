"""Deep Q-network."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec


@ALGORITHMS.register("dqn")
def dqn() -> AlgorithmSpec:
    """Deep Q-network (Mnih et al. 2015, Nature 518).

    ``_n_calls`` schedules the updates of the target network. SB3 computes ``exploration_rate``
    after each step; without it the first step of a resumed run would be greedy.
    """
    return AlgorithmSpec(
        source="stable_baselines3:DQN",
        action_spaces=(spaces.Discrete,),
        hyperparams=HYPERPARAMS / "dqn.yml",
        extra_state=("_n_calls", "exploration_rate"),
        prepare_evaluation=use_final_exploration,
        value=greedy_value,
    )


def greedy_value(model: BaseAlgorithm, observations: Any) -> Tensor:
    """Largest action value of each observation, ``(B,)``."""
    values: Tensor = model.q_net(observations)  # type: ignore[attr-defined]
    return values.amax(1)


def use_final_exploration(model: BaseAlgorithm) -> None:
    """Set the epsilon of epsilon-greedy actions to the one that training ends with."""
    model.exploration_rate = model.exploration_final_eps  # type: ignore[attr-defined]
