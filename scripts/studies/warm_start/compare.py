"""What an encoder keeps that starts from general-purpose weights, and from fresh ones."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import torch

from agents.pretrain import PretrainConfig, build_model, collect_frames
from agents.pretrain_choice import STEPS, WARM_STEPS, with_choice
from agents.pretrain_config import IMAGE_BATCH_SIZE, completed, fit_config
from envs import defaults_for
from latentrl import Frames, Preprocessing, Quality, fit, quality
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.core import Row, Study

FRAMES = 2_000
"""Frames that are collected of each environment."""
SHOWN = 8
NO_LEARNING = 1e-12
"""Learning rate of the encoder without training, which ``fit`` gives mean image and statistics."""
FRESH, LONG, UNTRAINED = f"fresh, {WARM_STEPS} steps", f"fresh, {STEPS:,} steps", "general, 0 steps"


@dataclasses.dataclass(frozen=True)
class Fitted:
    """One encoder."""

    model: Autoencoder
    """The encoder."""
    quality: Quality
    """What it keeps of held-out frames."""
    seconds: float
    """Processor time of its training."""


def study(env_id: str) -> Study:
    """Compare initial weights on frames of an environment."""
    torch.set_num_threads(1)
    config = completed(PretrainConfig(env_id, untuned=True, frames=FRAMES), None)
    frames = collect_frames(config)
    side = defaults_for(env_id).size
    preprocessing = Preprocessing(defaults_for(env_id).crop, (side, side) if side else None)
    config = dataclasses.replace(config, batch_size=IMAGE_BATCH_SIZE)
    frames = frames.distinct()  # so that no held-out frame is one of the training
    config = with_choice(config, frames, preprocessing)
    training, held_out = frames.split(0.1, config.seed)

    def fitted(steps: int, from_scratch: bool) -> Fitted:
        flags = dataclasses.replace(config, steps=steps, from_scratch=from_scratch)
        return _fitted(flags, training, held_out)

    general = fitted(WARM_STEPS, False)
    controls = {
        FRESH: fitted(WARM_STEPS, True),
        LONG: fitted(STEPS, True),
        UNTRAINED: fitted(0, False),
    }
    caption = (
        f"Held-out frames, reconstructions from general-purpose weights after {WARM_STEPS} steps, "
        f"and from fresh ones after {STEPS:,}"
    )
    return Study(
        _rows(general, controls),
        images={caption: _sheet(held_out, general.model, controls[LONG].model)},
    )


def _fitted(config: PretrainConfig, training: Frames, held_out: Frames) -> Fitted:
    model = build_model(config, training.observation_space, from_environment=True)
    flags = fit_config(dataclasses.replace(config, steps=max(1, config.steps or 0)))
    if not config.steps:
        flags = dataclasses.replace(flags, learning_rate=NO_LEARNING)
    start = time.process_time()
    fit(model, training, flags, progress=False)
    seconds = time.process_time() - start
    return Fitted(model, quality(model, held_out), seconds)


def _rows(general: Fitted, controls: dict[str, Fitted]) -> list[Row]:
    measures: dict[str, Callable[[Fitted], float]] = {
        "explained variance of changing pixels": _changing,
        "explained variance of all pixels": lambda fitted: fitted.quality.explained,
        "lost detail": lambda fitted: fitted.quality.lost_detail,
        "processor time of the training, s": lambda fitted: fitted.seconds,
    }
    return [
        Row(name, of(general), {control: of(fitted) for control, fitted in controls.items()})
        for name, of in measures.items()
    ]


def _changing(fitted: Fitted) -> float:
    assert fitted.quality.changing is not None  # something moves in every environment
    return fitted.quality.changing


def _sheet(frames: Frames, *models: Autoencoder) -> Array:
    chosen = frames[np.linspace(0, len(frames) - 1, SHOWN).astype(int)]
    rows = [chosen, *(model.reconstruct(chosen) for model in models)]
    return grid([to_rgb(images) for images in rows])
