"""Proximal policy optimization."""

from __future__ import annotations

from gymnasium import spaces

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec, Hyperparameters, Space


@ALGORITHMS.register("ppo")
def ppo() -> AlgorithmSpec:
    """Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347)."""
    return AlgorithmSpec(
        source="stable_baselines3:PPO",
        action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        hyperparams=HYPERPARAMS / "ppo.yml",
        adapt=without_gsde_where_discrete,
    )


def without_gsde_where_discrete(
    hyperparameters: Hyperparameters, action_space: Space
) -> Hyperparameters:
    """Return the hyperparameters, where actions are not continuous without those of gSDE.

    Generalized state-dependent exploration (Raffin et al. 2020, arXiv:2005.05719) is noise that is
    added to actions, so SB3 refuses it for a distribution over discrete ones.
    """
    if isinstance(action_space, spaces.Box):
        return hyperparameters
    policy = dict(hyperparameters.get("policy_kwargs", {}))
    policy.pop("log_std_init", None)
    return {
        **hyperparameters,
        "use_sde": False,
        "sde_sample_freq": -1,
        "policy_kwargs": policy,
    }
