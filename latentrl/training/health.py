"""What a trained model knows: health figures and the statistics of its codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentrl.data.frames import Frames, as_frames
from latentrl.models.autoencoder import CHUNK, QUANTILES, Autoencoder
from latentrl.models.heads import GaussianPosterior, Posterior
from latentrl.types import Array

ACTIVE_VARIANCE = 0.01
"""A unit is active where the variance of its posterior mean exceeds this (Burda et al. 2016)."""
WINDOW, WINDOW_SIGMA = 11, 1.5
"""Pixels, of the window in which SSIM compares two images."""
STABILISERS = (0.01**2, 0.03**2)
"""C1 and C2 of SSIM for values in [0, 1]."""

Observations = Frames | Array | str | Path
"""An array, with or without ``B`` in front, or whatever ``as_frames`` opens."""


@dataclass(frozen=True)
class Health:
    """How a model does on some frames."""

    loss: float
    """The training objective at the encoder's own codes, not samples of them, in nats per frame."""
    reconstruction: float
    """-log p(x | z) at the posterior mean, in nats per frame."""
    psnr: float
    """Peak signal-to-noise ratio of the reconstruction in dB, for a peak of 1."""
    ssim: float | None
    """Mean structural similarity of the reconstruction, at most 1; None where observations are not
    images."""
    kl: Array
    """Mean KL divergence of each dimension in nats, ``(latent_dim,)``; zeros for point codes."""
    variance: Array
    """Variance of each dimension of the code over the frames, ``(latent_dim,)``."""

    @property
    def active_units(self) -> int:
        """Dimensions whose code varies with the frame."""
        return int((self.variance > ACTIVE_VARIANCE).sum())


def scaled_batches(model: Autoencoder, frames: Frames, batch_size: int = 256) -> Iterator[Tensor]:
    """Yield all frames in order as scaled tensors ``(B, *preprocess.shape)`` on the model's
    device.
    """
    for start in range(0, len(frames), batch_size):
        yield model.preprocess(
            torch.from_numpy(frames[start : start + batch_size]).to(model.device)
        )


def batches(model: Autoencoder, observations: Observations) -> Iterator[Array]:
    """Yield ``observations`` in order as checked arrays ``(B, *observation_shape)``, a piece at a
    time.

    Raises:
        TypeError: they are neither an array, nor Frames, nor a path.
        ValueError: shape, dtype or values do not belong to the observation space.
    """
    source = observations if isinstance(observations, np.ndarray) else as_frames(observations)
    if is_single(model, source):
        source = source[None]
    for start in range(0, max(len(source), 1), CHUNK):
        yield model.check_observations(source[start : start + CHUNK])


def is_single(model: Autoencoder, observations: object) -> bool:
    """Tell whether ``observations`` is one observation, without ``B``."""
    return (
        isinstance(observations, np.ndarray) and observations.shape == model.observation_space.shape
    )


@torch.no_grad()  # a penalty may need a gradient of its own, which inference mode forbids
def health(model: Autoencoder, frames: Frames, step: int = 0, corrupted: bool = False) -> Health:
    """Measure a model with a decoder.

    Args:
        model: what to measure.
        frames: on what.
        step: gradient steps done, for losses with a schedule.
        damaged: whether to put the frames through the model's corruptions first, with fixed seed,
            as training does: the figures are then those of the restoration.
    """
    model.eval()
    generator = torch.Generator(model.device).manual_seed(0)
    sums = torch.zeros(4, dtype=torch.float64)
    kl, means = [], []
    for x in scaled_batches(model, frames):
        terms, batch = model.losses(x, model.corrupt(x, generator) if corrupted else x, None, step)
        loss, fidelity = (
            torch.stack(list(terms.values())).sum(),
            _fidelity(model.likelihood.mean(batch.outputs), x),
        )
        sums += len(x) * torch.stack([loss, terms["reconstruction"], *fidelity]).double().cpu()
        kl.append(_kl(batch.posterior).cpu())
        means.append(batch.posterior.mean.cpu())
    loss, reconstruction, squared_error, similarity = (sums / len(frames)).tolist()
    return Health(
        loss=loss,
        reconstruction=reconstruction,
        psnr=psnr(squared_error),
        ssim=similarity if len(model.preprocess.shape) == 3 else None,
        kl=torch.cat(kl).mean(0).numpy(),
        variance=torch.cat(means).double().var(0, correction=0).numpy(),
    )


def _kl(code: Posterior) -> Tensor:
    return code.kl() if isinstance(code, GaussianPosterior) else torch.zeros_like(code.mean)


def _fidelity(restored: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    error = (restored - x).square().mean()
    return error, ssim(restored, x).mean() if x.ndim == 4 else torch.zeros_like(error)


def psnr(mean_squared_error: float, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB of values in ``[0, peak]``, at most 120 dB."""
    return -10 * float(np.log10(max(mean_squared_error / peak**2, 1e-12)))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity of images (Wang et al. 2004, IEEE TIP 13), ``(B,)``, at most
    1.

    Statistics are taken in a normal window of 11 pixels a side, less where an image is smaller.

    Args:
        a: images ``(B, C, H, W)`` with values in [0, 1].
        b: the images to compare them with, of the same shape.
    """
    rows, columns = _window(a.shape[2], a), _window(a.shape[3], a).T
    mean_a, mean_b = rows @ a @ columns, rows @ b @ columns
    squares, product = mean_a.square() + mean_b.square(), mean_a * mean_b
    variances = rows @ (a.square() + b.square()) @ columns - squares
    covariance = rows @ (a * b) @ columns - product
    luminance = (2 * product + STABILISERS[0]) / (squares + STABILISERS[0])
    structure = (2 * covariance + STABILISERS[1]) / (variances + STABILISERS[1])
    return (luminance * structure).flatten(1).mean(1)


def _window(side: int, like: Tensor) -> Tensor:
    """Return the matrix ``(positions, side)`` that slides the window: as a product, nine times as
    fast as conv2d.
    """
    size = min(WINDOW, side - 1 + side % 2)
    offsets = torch.arange(side) - torch.arange(side - size + 1)[:, None] - size // 2
    weights = torch.exp(-0.5 * (offsets / WINDOW_SIGMA).square()) * (offsets.abs() <= size // 2)
    return (weights / weights.sum(1, keepdim=True)).to(like)


@torch.inference_mode()
def store_statistics(model: Autoencoder, frames: Frames) -> None:
    """Keep the mean, spread, quantiles and KL of the codes of ``frames`` in the model."""
    model.eval()
    codes = [model.head(model.encoder(x)) for x in scaled_batches(model, frames)]
    means = torch.cat([code.mean for code in codes]).float()
    model.latent_mean.copy_(means.mean(0))
    model.latent_std.copy_(means.std(0, correction=0))
    model.latent_quantiles.copy_(
        torch.from_numpy(np.quantile(means.cpu().numpy(), QUANTILES, axis=0))
    )
    model.latent_kl.copy_(torch.cat([_kl(code) for code in codes]).mean(0))


def latent_order(model: Autoencoder) -> Array:
    """Return the dimensions from the most to the least informative.

    By KL divergence, or by variance where codes are points.
    """
    weight = model.latent_kl if model.variational else model.latent_std
    return np.argsort(-weight.cpu().numpy(), kind="stable")
