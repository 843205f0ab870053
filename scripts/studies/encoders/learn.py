"""The general-purpose weights, learned from random scenes and not from an environment."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from latentrl import beta_vae
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.backbones.base import Offset
from latentrl.models.losses.change import changed_values
from latentrl.models.losses.reconstruction import TopK
from latentrl.models.warm_start import FILE, NOTE, networks_of
from latentrl.training.choice import BETA, BUSY_CHANNELS, CHANNELS, LARGEST_WEIGHT, TOPK_WEIGHT
from latentrl.training.optimizer_state import adamw, gradient_step
from latentrl.types import Array
from latentrl.utils.io import write_tensors
from latentrl.utils.progress import progress_bar
from scripts.studies.encoders.scenes import SIDE, scene

COMMAND = "python scripts/study.py warm_start --learn"
STEPS, BATCH, LEARNING_RATE = 10_000, 32, 2e-3
MOMENTS, POOL = 16, 512
"""Frames of a scene, and scenes at a time, of which each step replaces the oldest one."""
CELLS = (SIDE // 8) ** 2
Batch = tuple[Tensor, Tensor, Tensor]
"""Frames, those one step before, and the mean images of their scenes, ``(B, 3, SIDE, SIDE)``."""


def write_weights(steps: int = STEPS, file: Path = FILE) -> Path:
    """Learn the weights, write them to the package in half precision, and return the file."""
    model = learned(steps)
    half = {name: tensor.half() for name, tensor in networks_of(model).items()}
    write_tensors(file, half, {NOTE: COMMAND})
    return file


def learned(steps: int, seed: int = 0) -> Autoencoder:
    """Return a model that was trained for so many steps on random scenes."""
    torch.manual_seed(seed)
    cv2.setNumThreads(1)
    model = beta_vae(
        (SIDE, SIDE, 3), BUSY_CHANNELS * CELLS, beta=BETA, backbone={"name": "spatial"}
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = adamw(model, LEARNING_RATE)
    batches = random_batches(np.random.default_rng(seed))
    with progress_bar(steps, 0, "learning", "step", True) as bar:
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1.01 + math.cos(math.pi * step / steps)) / 2
            # Latents of fewer channels are the first ones of those with more (nested dropout,
            # Rippel et al. 2014, arXiv:1402.0915), so that one file serves both.
            channels = (CHANNELS, BUSY_CHANNELS)[step % 2]
            gradient_step(loss(model, next(batches), channels), optimizer, 1_000.0)
            bar.update(1)
    return model


def loss(model: Autoencoder, batch: Batch, channels: int) -> Tensor:
    """Return the loss of a chosen encoder with so many channels, in nats per image.

    Changing pixels count as much as all pixels of their image.
    """
    x, before, means = batch
    _set_offsets(model, means)
    posterior = model.head(model.encoder(x))
    latents = posterior.sample(torch.randn_like(posterior.mean))
    kept = torch.arange(BUSY_CHANNELS * CELLS) < channels * CELLS
    outputs = model.require_decoder()(latents * kept)
    nll = -model.likelihood.log_prob(outputs, x)
    changed = changed_values(x, before).float()
    weight = 1 / changed.mean((1, 2, 3), keepdim=True).clamp_min(1 / LARGEST_WEIGHT)
    worst = nll.flatten(1).topk(round(TopK.fraction * nll[0].numel()), 1).values.sum(1)
    total = (nll * (1 + weight * changed)).flatten(1).sum(1)
    kl = (posterior.kl() * kept).sum(1)
    return (total + TOPK_WEIGHT * worst + BETA * kl).mean()


def _set_offsets(model: Autoencoder, means: Tensor) -> None:
    """Give each image of a batch the mean image of its own scene."""
    for network, offset in ((model.encoder, -means), (model.require_decoder(), means)):
        for module in network.modules():
            if isinstance(module, Offset):
                module.offset = offset


def random_batches(rng: np.random.Generator) -> Iterator[Batch]:
    """Yield batches of different moments of the newest scenes, without an end."""
    pool = deque((_drawn(rng) for _ in range(POOL)), POOL)
    while True:
        scenes = [pool[i] for i in rng.integers(0, POOL, BATCH)]
        moments = rng.integers(0, MOMENTS, BATCH)
        frames, before = (
            _scaled(np.stack([s[part][m] for s, m in zip(scenes, moments, strict=True)]))
            for part in (0, 1)
        )
        yield frames, before, _scaled(np.stack([s[2] for s in scenes]))
        pool.append(_drawn(rng))


def _drawn(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    frames, before = scene(rng, MOMENTS)
    return frames, before, np.concatenate([frames, before]).mean(0, dtype=np.float32)


def _scaled(images: Array) -> Tensor:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return x.contiguous(memory_format=torch.channels_last)
