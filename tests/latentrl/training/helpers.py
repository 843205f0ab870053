"""Small models, short fits and interruptions that the tests of training share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder

BACKBONE = {"name": "mlp", "hidden": (16,)}
TOO_SHORT_TO_LEARN = pytest.mark.filterwarnings("ignore:the latents have collapsed")


def settings(**changes: Any) -> lrl.FitConfig:
    return lrl.FitConfig(
        **{
            "epochs": 3,
            "batch_size": 64,
            "device": "cpu",
            "precision": "float32",
            "seed": 3,
            **changes,
        }
    )


def make_vae() -> Autoencoder:
    torch.manual_seed(0)
    return lrl.vae((8,), 3, backbone=BACKBONE)


def make_denoiser() -> Autoencoder:
    torch.manual_seed(0)
    return lrl.denoising_ae(
        (32, 32, 3),
        3,
        corruption="masking",
        backbone={"name": "conv", "channels": (4,), "hidden": 8},
    )


def run(model: Autoencoder, data: Any, **options: Any) -> lrl.History:
    return lrl.fit(model, data, progress=False, **{"config": settings(), **options})


def same_bits(a: Autoencoder, b: Autoencoder) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


class InterruptAt:
    """Interrupts a fit in the middle of a training step, before the weights change."""

    def __init__(self, step: int) -> None:
        self.step, self.losses = step, Autoencoder.losses

    def __call__(self, model: Autoencoder, *arguments: Any) -> Any:
        if arguments[4] == self.step and model.training:
            raise KeyboardInterrupt
        return self.losses(model, *arguments)


class Recorder:
    """A callback that records steps, and can interrupt."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.steps: list[int] = []
        self.interrupt_at = interrupt_at

    def on_epoch_end(self, model: Autoencoder, validation: Any, row: Any, health: Any) -> None:
        assert row["validation/loss"] == health.loss
        self.steps.append(int(row["step"]))
        if row["step"] == self.interrupt_at:
            raise KeyboardInterrupt
