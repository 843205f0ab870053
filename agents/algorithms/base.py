"""Algorithms and their settings: one builder each, and defaults that learn CarRacing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from agents.features import PatchFeatures
from latentrl.models.autoencoder import Autoencoder
from latentrl.utils.registry import Registry

Builder = Callable[..., BaseAlgorithm]
Settings = Mapping[str, Any]

ALGORITHMS: Registry[BaseAlgorithm] = Registry("algorithm")

PPO_LATENT: Settings = {
    "n_envs": 16,
    "timesteps": 500_000,
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 8,
    "learning_rate": "lin_5e-4",
    "gamma": 0.99,
    "use_sde": True,
    "sde_sample_freq": 4,
    "policy_kwargs": {
        "net_arch": [256, 256],
        "activation_fn": "gelu",
        "ortho_init": False,
        "log_std_init": -2.0,
    },
}

# RL Baselines3 Zoo, hyperparams/ppo.yml, CarRacing-v0: with frame skip 2 and two stacked 64x64 grey
# images.
PPO_PIXELS: Settings = {
    "n_envs": 8,
    "timesteps": 2_000_000,
    "n_steps": 512,
    "batch_size": 128,
    "n_epochs": 10,
    "learning_rate": "lin_1e-4",
    "gamma": 0.99,
    "use_sde": True,
    "sde_sample_freq": 4,
    "policy_kwargs": {
        "net_arch": [256],
        "activation_fn": "gelu",
        "ortho_init": False,
        "log_std_init": -2.0,
    },
}

DQN_LATENT: Settings = {
    "n_envs": 8,
    "timesteps": 400_000,
    "learning_rate": 5e-4,
    "buffer_size": 100_000,
    "learning_starts": 5_000,
    "batch_size": 256,
    "train_freq": 4,
    "gradient_steps": 8,
    "target_update_interval": 2_000,
    "exploration_fraction": 0.2,
    "exploration_final_eps": 0.05,
    "gamma": 0.99,
    "policy_kwargs": {"net_arch": [256, 256]},
}

# RL Baselines3 Zoo, hyperparams/dqn.yml, atari; its buffer of a million images does not fit a
# laptop.
DQN_PIXELS: Settings = {
    "n_envs": 8,
    "timesteps": 1_000_000,
    "learning_rate": 1e-4,
    "buffer_size": 100_000,
    "learning_starts": 50_000,
    "batch_size": 32,
    "train_freq": 4,
    "gradient_steps": 8,
    "target_update_interval": 10_000,
    "exploration_fraction": 0.1,
    "exploration_final_eps": 0.1,
    "gamma": 0.99,
    "optimize_memory_usage": False,
}

# Sparse rewards and discrete actions: many short rollouts, entropy, small networks.
PPO_MINIGRID: Settings = {
    "n_envs": 32,
    "timesteps": 1_000_000,
    "n_steps": 64,
    "batch_size": 512,
    "n_epochs": 4,
    "learning_rate": "lin_5e-4",
    "gamma": 0.99,
    "ent_coef": 0.01,
    "policy_kwargs": {
        "net_arch": [128, 128],
        "activation_fn": "tanh",
        "patch_features": {"width": 8},
    },
}

# The key is far from all that is easily found: picking things up must not die out before it has
# paid once, and features that are cut off may begin at 0 for some of its six colours.
PPO_LOCKED_ROOM: Settings = {
    **PPO_MINIGRID,
    "timesteps": 3_000_000,
    "ent_coef": 0.03,
    "policy_kwargs": {
        **PPO_MINIGRID["policy_kwargs"],
        "patch_features": {"width": 8, "rectified": False},
    },
}

# Few steps to a goal, which the reward counts: a short horizon tells one step's Q-value from the
# next's.
DQN_KEY_ROOMS: Settings = {
    **DQN_LATENT,
    "timesteps": 100_000,
    "gamma": 0.95,
    "n_steps": 5,
    "target_update_interval": 1_000,
    "exploration_fraction": 0.05,
    "exploration_final_eps": 0.1,
    "normalise_codes": False,
}

TUNED: Mapping[tuple[str, str, bool], Settings] = {
    ("MiniGrid-LockedRoom", "ppo", True): PPO_LOCKED_ROOM,
    ("MiniGrid-", "ppo", True): PPO_MINIGRID,
    ("KeyRooms", "dqn", True): DQN_KEY_ROOMS,
}
"""Settings that win over ``DEFAULTS``, by beginning of the environment's id, algorithm, and whether
it sees codes.

The first that fits wins.
"""


def defaults(env_id: str, algo: str, latent: bool) -> Settings:
    """Return the settings of an algorithm for an environment."""
    for (prefix, *kind), settings in TUNED.items():
        if env_id.startswith(prefix) and kind == [algo, latent]:
            return settings
    return DEFAULTS[algo, latent]


DEFAULTS: Mapping[tuple[str, bool], Settings] = {
    ("ppo", True): PPO_LATENT,
    ("ppo", False): PPO_PIXELS,
    ("dqn", True): DQN_LATENT,
    ("dqn", False): DQN_PIXELS,
}
"""Settings by algorithm and whether it sees codes."""


@ALGORITHMS.register("ppo")
def ppo(venv: VecEnv, latent: bool, seed: int, device: str, **settings: Any) -> PPO:
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347).

    State-dependent exploration is left out where actions are discrete.
    """
    kwargs = _networks(dict(settings.pop("policy_kwargs", {})))
    if not isinstance(venv.action_space, spaces.Box):
        settings |= {"use_sde": False, "sde_sample_freq": -1}
        kwargs.pop("log_std_init", None)
    settings["learning_rate"] = _schedule(settings["learning_rate"])
    policy = "MlpPolicy" if latent else "CnnPolicy"
    return PPO(
        policy, venv, policy_kwargs=kwargs, seed=seed, device=_device(latent, device), **settings
    )


@ALGORITHMS.register("dqn")
def dqn(venv: VecEnv, latent: bool, seed: int, device: str, **settings: Any) -> DQN:
    """Deep Q-network (Mnih et al. 2015, Nature 518).

    Raises:
        ValueError: the actions are not discrete.
    """
    if not isinstance(venv.action_space, spaces.Discrete):
        raise ValueError(
            f"dqn needs discrete actions, this environment's are {venv.action_space}; use ppo, or an "
            "environment with discrete actions"
        )
    kwargs = _networks(dict(settings.pop("policy_kwargs", {})))
    settings["learning_rate"] = _schedule(settings["learning_rate"])
    policy = "MlpPolicy" if latent else "CnnPolicy"
    return DQN(
        policy, venv, policy_kwargs=kwargs, seed=seed, device=_device(latent, device), **settings
    )


def for_codes(settings: Settings, encoder: Autoencoder | None, stack: int) -> Settings:
    """Return the settings with a policy's ``patch_features`` made those of the encoder's patches,
    if it has any.
    """
    kwargs = dict(settings.get("policy_kwargs", {}))
    features = kwargs.pop("patch_features", None)
    if features is None:
        return settings
    if encoder is not None and encoder.latent_layout.grid is not None:
        kwargs["patches"] = {"patches": encoder.latent_layout.cells, "stack": stack, **features}
    return {**settings, "policy_kwargs": kwargs}


def _device(latent: bool, device: str) -> str:
    # A small MLP is faster on the CPU than the copies to a GPU are.
    return "cpu" if latent else device


def _networks(kwargs: dict[str, Any]) -> dict[str, Any]:
    names = {"gelu": torch.nn.GELU, "relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
    if "patches" in kwargs:
        kwargs |= {
            "features_extractor_class": PatchFeatures,
            "features_extractor_kwargs": kwargs.pop("patches"),
        }
    if "activation_fn" in kwargs:
        kwargs["activation_fn"] = names[kwargs["activation_fn"]]
    return kwargs


def _schedule(value: str | float) -> float | Callable[[float], float]:
    """Turn ``"lin_3e-4"`` into a step size that falls linearly to a twentieth."""
    if not isinstance(value, str):
        return value
    start = float(value.removeprefix("lin_"))
    return lambda remaining: start * max(remaining, 0.05)
