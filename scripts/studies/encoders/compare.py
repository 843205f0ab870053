"""Encoders that differ in one thing, trained on the same frames, and what each keeps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from agents.pretrain import PretrainConfig, build_model, collect_frames, with_encoder
from agents.pretrain_config import completed, fit_config
from latentrl import Frames, Quality, fit, health, quality
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb
from scripts.studies.core import Row, Study

FRAMES = 2_000
"""Frames that are collected of each environment."""
SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Arm:
    """How one of the encoders is trained."""

    name: str
    """Head of its column."""
    steps: int
    """Gradient steps."""
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Flags of the pretraining that differ from what is chosen from the frames."""
    option: tuple[str, ...] = ()
    """Options of the model beside those that are chosen."""
    shown: bool = False
    """Whether its reconstructions are in the image."""


@dataclasses.dataclass(frozen=True)
class Fitted:
    """One encoder."""

    model: Autoencoder
    """The encoder."""
    quality: Quality
    """What it keeps of held-out frames."""
    kl: float
    """KL divergence of held-out frames, in nats."""
    seconds: float
    """Processor time of its training."""


def study(env_id: str, arms: Sequence[Arm]) -> Study:
    """Compare encoders on frames of an environment; the first arm is the value of each row."""
    torch.set_num_threads(1)
    config = completed(PretrainConfig(env_id, untuned=True, frames=FRAMES), None)
    frames = collect_frames(config)
    config = with_encoder(config, frames)
    # Distinct, so that no held-out frame is one of the training.
    training, held_out = frames.distinct().split(0.1, config.seed)
    fitted = {arm.name: _fitted(_flags(config, arm), training, held_out) for arm in arms}
    return Study(_rows(fitted), images=_images(arms, fitted, held_out))


def _flags(config: PretrainConfig, arm: Arm) -> PretrainConfig:
    option = (*config.option, *arm.option)
    return dataclasses.replace(config, steps=arm.steps, option=option, **arm.flags)


def _fitted(config: PretrainConfig, training: Frames, held_out: Frames) -> Fitted:
    model = build_model(config, training.observation_space, from_environment=True)
    start = time.process_time()
    fit(model, training, fit_config(config), progress=False)
    seconds = time.process_time() - start
    return Fitted(model, quality(model, held_out), float(health(model, held_out).kl.sum()), seconds)


def _rows(fitted: Mapping[str, Fitted]) -> list[Row]:
    measures: dict[str, Callable[[Fitted], float]] = {
        "explained variance of changing pixels": _changing,
        "explained variance of all pixels": lambda fitted: fitted.quality.explained,
        "lost detail": lambda fitted: fitted.quality.lost_detail,
        "KL divergence, nats": lambda fitted: fitted.kl,
        "processor time of the training, s": lambda fitted: fitted.seconds,
    }
    first, *others = fitted
    return [
        Row(metric, of(fitted[first]), {name: of(fitted[name]) for name in others})
        for metric, of in measures.items()
    ]


def _changing(fitted: Fitted) -> float:
    assert fitted.quality.changing is not None  # something moves in every environment
    return fitted.quality.changing


def _images(
    arms: Sequence[Arm], fitted: Mapping[str, Fitted], held_out: Frames
) -> dict[str, Array]:
    shown = [arm.name for arm in arms if arm.shown]
    if not shown:
        return {}
    chosen = held_out[np.linspace(0, len(held_out) - 1, SHOWN).astype(int)]
    rows = [chosen, *(fitted[name].model.reconstruct(chosen) for name in shown)]
    caption = f"Held-out frames, and reconstructions: {'; '.join(shown)}"
    return {caption: grid([to_rgb(images) for images in rows])}
