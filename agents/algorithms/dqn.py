"""Deep Q-network."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec
from latentrl.types import Array


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


def use_final_exploration(model: BaseAlgorithm) -> None:
    """Set the epsilon of epsilon-greedy actions to the one that training ends with."""
    model.exploration_rate = model.exploration_final_eps  # type: ignore[attr-defined]


def greedy_value(model: BaseAlgorithm, observations: Any) -> Array:
    """Return the value of the greedy action, max over a of Q(s, a), ``(B,)``."""
    policy: Any = model.policy
    with torch.no_grad():
        values: Array = policy.q_net(policy.obs_to_tensor(observations)[0]).amax(1).cpu().numpy()
    return values
