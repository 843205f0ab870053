"""The algorithms by name; a new one is one file here and its import below."""

from agents.algorithms import dqn, ppo, qrdqn, recurrent_ppo, sac
from agents.algorithms.base import (
    ALGORITHMS,
    AlgorithmSpec,
    check_actions,
    check_new_actions,
    find_algorithm,
)

__all__ = [
    "ALGORITHMS",
    "AlgorithmSpec",
    "check_actions",
    "check_new_actions",
    "dqn",
    "find_algorithm",
    "ppo",
    "qrdqn",
    "recurrent_ppo",
    "sac",
]
