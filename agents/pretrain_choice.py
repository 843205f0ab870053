"""The encoder that a pretraining run chooses from its frames, where no flag says which."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

from gymnasium import spaces

from agents.pretrain_config import CHOSEN, DETAILED_SIZE, FRAMES, PretrainConfig, is_open
from latentrl import Frames, Preprocessing, beta_vae
from latentrl.models.preprocessing import is_image, make_preprocessor
from latentrl.models.warm_start import can_warm_start
from latentrl.training.choice import CHANNELS, VERY_DETAILED, cell_error, choose, grid_of

LEARNING_RATE = 2e-3
WARM_STEPS, STEPS = 500, 1_500
"""Gradient steps of a chosen encoder, from general-purpose weights and from fresh ones."""
WARM_FRAMES = 4_000
"""Frames for a chosen encoder from general-purpose weights; others have ``FRAMES``."""
MEASURED_FRAMES = 500
"""Frames for one that keeps these weights: it is chosen from them, and learns the mean image."""


def with_choice(
    config: PretrainConfig, frames: Frames, preprocessing: Preprocessing
) -> PretrainConfig:
    """Return the flags with the chosen encoder filled in, and print the reason."""
    choice = choose(frames, preprocessing)
    warm = starts_warm(config, frames.observation_space, preprocessing)
    start, steps = ("general-purpose", WARM_STEPS) if warm else ("fresh", STEPS)
    print(f"encoder: {choice.reason}; training starts from {start} weights", file=sys.stderr)
    own = {name: value for name, value in choice.arguments.items() if name not in CHOSEN}
    fields: dict[str, Any] = {name: choice.arguments.get(name) for name in CHOSEN}
    return dataclasses.replace(
        config,
        option=(*config.option, *(f"{name}={json.dumps(value)}" for name, value in own.items())),
        learning_rate=config.learning_rate or LEARNING_RATE,
        steps=steps if config.steps is None and config.epochs is None else config.steps,
        from_scratch=not warm,
        **fields,
    )


def with_size(
    config: PretrainConfig, frames: Frames, preprocessing: Preprocessing
) -> PretrainConfig:
    """Return the flags with a larger image where cells of the default size would lose details."""
    space = frames.observation_space
    if config.size or not is_open(config) or not is_image(space):
        return config
    if min(make_preprocessor(space, preprocessing).shape[1:]) >= DETAILED_SIZE:
        return config
    if 2 * min(space.shape[:2]) < DETAILED_SIZE:  # larger latents than such small images
        return config
    # As in training, where frames that repeat count once.
    error = cell_error(frames.distinct(), preprocessing)
    if error <= VERY_DETAILED:
        return config
    print(
        f"images have many details: --size {DETAILED_SIZE}, because {CHANNELS} linear features of "
        f"a cell leave a squared error of {error:.2g}, above {VERY_DETAILED:g}",
        file=sys.stderr,
    )
    return dataclasses.replace(config, size=DETAILED_SIZE)


def default_frames(config: PretrainConfig, space: spaces.Box, preprocessing: Preprocessing) -> int:
    """Return the frames to collect of ``space`` where the flags say no number."""
    if not starts_warm(config, space, preprocessing):
        return FRAMES
    return MEASURED_FRAMES if config.steps == 0 else WARM_FRAMES


def starts_warm(config: PretrainConfig, space: spaces.Box, preprocessing: Preprocessing) -> bool:
    """Return whether the encoder of ``space`` is chosen and has general-purpose weights."""
    if config.from_scratch or not is_open(config) or not is_image(space):
        return False
    cells = math.prod(grid_of(space, preprocessing))
    values = math.prod(make_preprocessor(space, preprocessing).shape)
    channels = min(CHANNELS, values // cells)
    backbone = {"name": "spatial"}
    return can_warm_start(
        beta_vae(space, channels * cells, preprocessing=preprocessing, backbone=backbone)
    )
