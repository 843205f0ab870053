"""What suits each environment, where the general defaults do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EnvDefaults:
    """Defaults of one environment; every script flag that names one of them wins over it."""

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels cut from the top, bottom, left and right before encoding."""
    size: int | None = 64
    """Side in pixels of the square image that the encoder sees; None keeps the size."""
    frame_skip: int = 1
    """Environment frames for each decision."""
    stack: int = 1
    """Codes that an agent sees at once."""
    episodic_count: bool = False
    """Whether an agent sees how often its episode has had a code."""
    pixel_frame_skip: int = 1
    """Environment frames for each decision of an agent that learns from pixels."""
    pixel_stack: int = 1
    """Images that such an agent sees at once."""
    policy: str = "brownian"
    """How frames for pretraining are collected."""
    has_discrete_variant: bool = False
    """It takes ``continuous=False`` for discrete actions."""
    native_frame_skip: bool = False
    """It takes ``frameskip=n``; with a skip of 1 it keeps its own."""
    workers: bool = True
    """Step in worker processes; False where a step is cheaper than a pipe."""
    pretraining: Mapping[str, Any] = field(default_factory=dict)
    """What ``PretrainConfig`` takes for a beta_vae where no flag says otherwise."""


def tiles(count: int) -> dict[str, Any]:
    """Return how to pretrain on images of ``count`` tiles, 8 by 8 pixels each: every tile a code of
    its own.
    """
    return {
        "latent_dim": 4 * count,
        "beta": 0.1,
        "option": ("backbone={name: patches}", "topk_weight=4.0"),
        "steps": 3_000,
        "batch_size": 16,
        "learning_rate": 4e-3,
    }


# The pixel settings are those of RL Baselines3 Zoo, hyperparams/ppo.yml, CarRacing-v0.
CAR_RACING = EnvDefaults(
    crop=(0, 12, 0, 0),
    frame_skip=4,
    stack=4,
    pixel_frame_skip=2,
    pixel_stack=2,
    has_discrete_variant=True,
)
SETTINGS = {
    "CarRacing-v2": CAR_RACING,
    "CarRacing-v3": CAR_RACING,
    "PixelReach-v0": EnvDefaults(size=None, workers=False),
}
FAMILIES = {
    "KeyRooms": EnvDefaults(
        size=None, episodic_count=True, policy="random", workers=False, pretraining=tiles(8 * 8)
    ),
    "MiniGrid-": EnvDefaults(
        size=None, episodic_count=True, policy="random", workers=False, pretraining=tiles(7 * 7)
    ),
    "ALE/": EnvDefaults(stack=4, pixel_stack=4, native_frame_skip=True),
}
"""How ids begin whose environments have one package and the same settings."""


@dataclass(frozen=True)
class EnvFamily:
    """What is special to a family."""

    envpool_only: bool = False


def family_of(env_id: str) -> EnvFamily:
    """Return the family of an environment."""
    return EnvFamily()


def defaults_for(env_id: str) -> EnvDefaults:
    """Return the settings of an environment, the general defaults where it has none of its own."""
    family = next(
        (settings for beginning, settings in FAMILIES.items() if env_id.startswith(beginning)),
        EnvDefaults(),
    )
    return SETTINGS.get(env_id, family)
