"""The encoder that a pretraining run chooses from its frames, where no flag says which."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from agents.pretrain_config import CHOSEN, PretrainConfig
from latentrl import Frames, Preprocessing, beta_vae
from latentrl.models.warm_start import can_warm_start
from latentrl.training.choice import Choice, choose

LEARNING_RATE, WARM_STEPS, STEPS = 2e-3, 500, 1_500
"""Training of a chosen encoder, from general-purpose weights and from fresh ones; flags and the
environment's defaults take precedence."""


def with_choice(
    config: PretrainConfig, frames: Frames, preprocessing: Preprocessing
) -> PretrainConfig:
    """Return the flags with the chosen encoder filled in, and print the reason."""
    choice = choose(frames, preprocessing)
    warm = not config.from_scratch and _can_warm_start(choice, frames, preprocessing)
    start = "general-purpose" if warm else "fresh"
    print(f"encoder: {choice.reason}; training starts from {start} weights", file=sys.stderr)
    own = {name: value for name, value in choice.arguments.items() if name not in CHOSEN}
    fields: dict[str, Any] = {name: choice.arguments.get(name) for name in CHOSEN}
    return dataclasses.replace(
        config,
        option=tuple(f"{name}={json.dumps(value)}" for name, value in own.items()),
        learning_rate=config.learning_rate or LEARNING_RATE,
        steps=config.steps if config.steps or config.epochs else WARM_STEPS if warm else STEPS,
        **fields,
    )


def _can_warm_start(choice: Choice, frames: Frames, preprocessing: Preprocessing) -> bool:
    space = frames.observation_space
    return can_warm_start(beta_vae(space, preprocessing=preprocessing, **choice.arguments))
