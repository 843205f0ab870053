"""What a trained model knows: health figures, statistics of its codes, traversals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentrl.autoencoder import QUANTILES, Autoencoder
from latentrl.frames import Frames
from latentrl.heads import Code, GaussianCode
from latentrl.types import Array

ACTIVE_VARIANCE = 0.01
"""A unit is active where the variance of its posterior mean exceeds this (Burda et al. 2016)."""


@dataclass(frozen=True)
class Health:
    """How a model does on some frames."""

    loss: float
    """The training objective without sampling noise, in nats per frame."""
    reconstruction: float
    """-log p(x | z) at the posterior mean, in nats per frame."""
    psnr: float
    """Peak signal-to-noise ratio of the reconstruction in dB, for a peak of 1."""
    kl: Array
    """Mean KL divergence of each dimension in nats, ``(latent_dim,)``; zeros for point codes."""
    variance: Array
    """Variance of each dimension of the code over the frames, ``(latent_dim,)``."""

    @property
    def active_units(self) -> int:
        """Dimensions whose code varies with the frame."""
        return int((self.variance > ACTIVE_VARIANCE).sum())


def scaled_batches(model: Autoencoder, frames: Frames, batch_size: int = 256) -> Iterator[Tensor]:
    """Yield all frames in order as scaled tensors ``(B, *preprocess.shape)`` on the model's device."""
    for start in range(0, len(frames), batch_size):
        yield model.preprocess(torch.from_numpy(frames[start : start + batch_size]).to(model.device))


@torch.no_grad()  # a penalty may need a gradient of its own, which inference mode forbids
def health(model: Autoencoder, frames: Frames, step: int = 0) -> Health:
    """Measure a model with a decoder on ``frames``; ``step`` is for penalties with a schedule."""
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64)
    kl, means = [], []
    for x in scaled_batches(model, frames):
        terms, batch = model.losses(x, x, None, step)
        error = (model.likelihood.mean(batch.outputs) - x).square().mean()
        loss = torch.stack(list(terms.values())).sum()
        sums += len(x) * torch.stack([loss, terms["reconstruction"], error]).double().cpu()
        kl.append(_kl(batch.code).cpu())
        means.append(batch.code.mean.cpu())
    loss, reconstruction, squared_error = (sums / len(frames)).tolist()
    return Health(
        loss=loss,
        reconstruction=reconstruction,
        psnr=-10 * float(np.log10(max(squared_error, 1e-12))),
        kl=torch.cat(kl).mean(0).numpy(),
        variance=torch.cat(means).double().var(0, correction=0).numpy(),
    )


def _kl(code: Code) -> Tensor:
    return code.kl() if isinstance(code, GaussianCode) else torch.zeros_like(code.mean)


@torch.inference_mode()
def store_statistics(model: Autoencoder, frames: Frames) -> None:
    """Keep the mean, spread, quantiles and KL of the codes of ``frames`` in the model."""
    model.eval()
    codes = [model.head(model.encoder(x)) for x in scaled_batches(model, frames)]
    means = torch.cat([code.mean for code in codes]).float()
    model.latent_mean.copy_(means.mean(0))
    model.latent_std.copy_(means.std(0, correction=0))
    model.latent_quantiles.copy_(torch.from_numpy(np.quantile(means.cpu().numpy(), QUANTILES, axis=0)))
    model.latent_kl.copy_(torch.cat([_kl(code) for code in codes]).mean(0))


def latent_order(model: Autoencoder) -> Array:
    """Return the dimensions from the most to the least informative.

    By KL divergence, or by variance where codes are points.
    """
    weight = model.latent_kl if model.variational else model.latent_std
    return np.argsort(-weight.cpu().numpy(), kind="stable")


def traverse(model: Autoencoder, observation: Array, dimensions: int | None = None, steps: int = 9) -> Array:
    """Decode the code of ``observation`` with one dimension at a time moved over its range in the data.

    Args:
        model: a fitted model with a decoder.
        observation: the starting point, of ``observation_space``.
        dimensions: how many, the most informative first; None does all.
        steps: positions from the 1 % to the 99 % quantile.

    Returns:
        ``(dimensions, steps, *output_shape)`` in the environment's units.

    Raises:
        TypeError: the model has no decoder.
    """
    order = latent_order(model)[:dimensions]
    quantiles = model.latent_quantiles.cpu().numpy()
    codes = np.tile(model.encode(observation), (len(order), steps, 1))
    for row, dimension in enumerate(order):
        codes[row, :, dimension] = np.linspace(quantiles[0, dimension], quantiles[-1, dimension], steps)
    decoded = model.decode(codes.reshape(-1, model.latent_dim))
    return decoded.reshape(len(order), steps, *decoded.shape[1:])
