"""What an anomaly detector compares: coarse inputs, latents and reconstruction errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from latentrl.data.frames import Frames
from latentrl.models.arrays import map_chunks
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import batches
from latentrl.types import Array

SIDE = 10
"""Most rows and columns of an image that distances are computed from."""


@dataclass(frozen=True)
class Features:
    """What a detector compares, of ``B`` observations."""

    inputs: Array
    """Network inputs; images are averaged to at most 10 x 10 pixels. float64 ``(B, inputs)``."""
    latents: Array
    """float64 ``(B, latent_dim)``."""
    nll: Array | None
    """-log p(x | z) in nats, ``(B,)``; None where the model has no such likelihood."""
    errors: Array | None
    """Absolute error of each value of vectors and sequences, in standard deviations of the data,
    ``(B, values)``; None for images, and without a likelihood."""


def features(model: Autoencoder, batch: Array) -> Features:
    """Return what a detector compares.

    Distances of coarse images change little with a shift by a pixel, and references stay small.

    Args:
        model: the model, with or without a decoder.
        batch: checked observations ``(B, *observation_shape)``.
    """
    reconstructs = model.decoder is not None and model.has_pixel_likelihood
    has_errors = reconstructs and len(model.preprocess.shape) < 3

    def compute(observations: Tensor) -> Tensor:
        x = model.preprocess(observations)
        z = model.head(model.encoder(x)).mean
        values = [_coarse(x).flatten(1).double(), z.double()]
        if reconstructs:
            decoded = model.require_decoder()(z).float()
            nll = -model.likelihood.log_prob(decoded, x)
            values.append(nll.double().flatten(1).sum(1, keepdim=True))
            if has_errors:
                values.append((x - model.likelihood.mean(decoded)).abs().flatten(1).double())
        return torch.cat(values, 1)

    model.eval()
    with torch.inference_mode():
        rows = map_chunks(compute, batch, model.observation_space.shape, model.device)
    # Errors are as many as inputs, because only images are averaged.
    rest = model.latent_dim + reconstructs
    width = (rows.shape[1] - rest) // (1 + has_errors)
    return Features(
        rows[:, :width],
        rows[:, width : width + model.latent_dim],
        rows[:, width + model.latent_dim] if reconstructs else None,
        rows[:, width + rest :] if has_errors else None,
    )


def _coarse(x: Tensor) -> Tensor:
    if x.ndim < 4:
        return x
    return F.adaptive_avg_pool2d(x.float(), (min(SIDE, x.shape[2]), min(SIDE, x.shape[3])))


def all_features(model: Autoencoder, frames: Frames) -> Features:
    """``features`` of all ``frames``."""
    parts = [features(model, batch) for batch in batches(model, frames)]
    return Features(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.latents for part in parts]),
        _joined([part.nll for part in parts]),
        _joined([part.errors for part in parts]),
    )


def _joined(parts: list[Array | None]) -> Array | None:
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if given else None
