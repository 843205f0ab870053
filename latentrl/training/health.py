"""Health metrics of a model on held-out frames, and the statistics of its latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from latentrl.data.frames import Frames
from latentrl.models.autoencoder import QUANTILES, Autoencoder
from latentrl.models.batches import previous_of, scaled_batches
from latentrl.models.heads import GaussianPosterior, Posterior
from latentrl.models.stored import frames_of
from latentrl.types import Array

ACTIVE_VARIANCE = 0.01
"""A unit is active where the variance of its posterior mean exceeds this (Burda et al. 2016)."""
WINDOW, WINDOW_SIGMA = 11, 1.5
"""Side and standard deviation of SSIM's window, in pixels."""
STABILISERS = (0.01**2, 0.03**2)
"""C1 and C2 of SSIM for values in [0, 1]."""

Inputs = Callable[[Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Health:
    """Metrics of a model on some frames."""

    loss: float
    """Training objective at the posterior means, not samples, in nats per frame."""
    reconstruction: float
    """-log p(x | z) at the posterior mean, in nats per frame."""
    psnr: float
    """Peak signal-to-noise ratio of the reconstruction in dB, for a peak of 1."""
    input_psnr: float | None
    """PSNR of the corrupted inputs in dB; None where they are clean, or have holes."""
    ssim: float | None
    """Mean structural similarity of the reconstruction, at most 1; None without images."""
    kl: Array
    """Mean KL divergence of each dimension in nats, ``(latent_dim,)``; zeros without a posterior
    that has one."""
    variance: Array
    """Variance of each latent over the frames, ``(latent_dim,)``."""

    @property
    def active_units(self) -> int:
        """Number of dimensions whose latent varies with the frame."""
        return int((self.variance > ACTIVE_VARIANCE).sum())


@dataclass
class LatentStatistics:
    """Statistics of the latents of frames, collected batch by batch."""

    means: list[Tensor] = field(default_factory=list)
    """Posterior means ``(B, latent_dim)`` of each batch."""
    kls: list[Tensor] = field(default_factory=list)
    """KL divergences ``(B, latent_dim)`` of each batch in nats."""

    def add(self, posterior: Posterior) -> None:
        """Add a batch."""
        self.means.append(posterior.mean.detach())
        self.kls.append(_kl(posterior).detach())

    def kl(self) -> Tensor:
        """Return the mean KL divergence of each dimension in nats, ``(latent_dim,)``."""
        return torch.cat(self.kls).mean(0)

    def variance(self) -> Array:
        """Return the variance of each latent, ``(latent_dim,)``."""
        variance: Array = torch.cat(self.means).double().var(0, correction=0).cpu().numpy()
        return variance

    @torch.no_grad()
    def store(self, model: Autoencoder) -> None:
        """Write mean, standard deviation, quantiles and KL divergence into ``model``."""
        means = torch.cat(self.means).float()
        quantiles = np.quantile(means.cpu().numpy(), QUANTILES, axis=0)
        model.latent_mean.copy_(means.mean(0))
        model.latent_std.copy_(means.std(0, correction=0))
        model.latent_quantiles.copy_(torch.from_numpy(quantiles))
        model.latent_kl.copy_(self.kl())


def health(
    model: Autoencoder, frames: Frames | Array, step: int = 0, corrupted: bool = False
) -> Health:
    """Return metrics of a model with a decoder.

    Args:
        model: the model to measure.
        frames: the frames to measure it on.
        step: gradient steps done, for losses with a schedule.
        corrupted: whether to corrupt the inputs as training does, with a fixed seed: the metrics
            are then those of the restoration.

    Raises:
        TypeError: the model has no decoder, or ``model`` is no model.
        ValueError: the frames are not of the model's observation space.
    """
    frames = frames_of(model, frames)
    return _measure(model, frames, step, _corrupting(model) if corrupted else _clean)[0]


def validate(model: Autoencoder, frames: Frames, step: int) -> tuple[Health, LatentStatistics]:
    """Return metrics of the restoration, and statistics of the latents of the clean frames.

    One pass over the frames does both; arguments as in ``health``.
    """
    state, statistics = _measure(model, frames, step, _corrupting(model))
    return state, statistics


@torch.inference_mode()
def latent_statistics(model: Autoencoder, frames: Frames) -> LatentStatistics:
    """Return the statistics of the latents of ``frames``, of a model with or without decoder."""
    statistics = LatentStatistics()
    for x in scaled_batches(model.eval(), frames):
        statistics.add(model.head(model.encoder(x)))
    return statistics


@torch.no_grad()  # not inference mode, which forbids the gradient that some losses compute
def _measure(
    model: Autoencoder, frames: Frames, step: int, inputs_of: Inputs
) -> tuple[Health, LatentStatistics]:
    model.eval()
    sums = torch.zeros(5, dtype=torch.float64)
    of_inputs, of_clean = LatentStatistics(), LatentStatistics()
    done = 0
    for x in scaled_batches(model, frames):
        inputs, mask = inputs_of(x)
        previous = previous_of(model, frames, slice(done, done + len(x)))
        terms, batch = model.losses(x, inputs, mask, None, step, previous)
        done += len(x)
        loss = torch.stack(list(terms.values())).sum()
        noise = (inputs - x).square().mean() if mask is None else x.new_zeros(())
        fidelity = [noise, *_fidelity(model.likelihood.mean(batch.outputs), x)]
        sums += len(x) * torch.stack([loss, terms["reconstruction"], *fidelity]).double().cpu()
        of_inputs.add(batch.posterior)
        of_clean.add(batch.posterior if inputs is x else model.head(model.encoder(x)))
    loss, reconstruction, noise_power, squared_error, similarity = (sums / len(frames)).tolist()
    state = Health(
        loss=loss,
        reconstruction=reconstruction,
        psnr=psnr(squared_error),
        input_psnr=psnr(noise_power) if noise_power else None,
        ssim=similarity if len(model.preprocess.shape) == 3 else None,
        kl=of_inputs.kl().cpu().numpy(),
        variance=of_inputs.variance(),
    )
    return state, of_clean


def _clean(x: Tensor) -> tuple[Tensor, None]:
    return x, None


def _corrupting(model: Autoencoder) -> Inputs:
    # A fixed seed: epochs are compared on the same corrupted frames.
    generator = torch.Generator(model.device).manual_seed(0)
    return lambda x: model.corrupt(x, generator)


def _kl(posterior: Posterior) -> Tensor:
    if isinstance(posterior, GaussianPosterior):
        return posterior.kl()
    return torch.zeros_like(posterior.mean)


def _fidelity(restored: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    if x.ndim < 4:
        error = (restored - x).square().mean()
        return error, torch.zeros_like(error)
    restored = restored.clamp(0, 1)  # as in an image
    return (restored - x).square().mean(), ssim(restored, x).mean()


def psnr(mean_squared_error: float, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB of values in ``[0, peak]``, at most 120 dB."""
    return -10 * float(np.log10(max(mean_squared_error / peak**2, 1e-12)))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity of images (Wang et al. 2004, IEEE TIP 13), ``(B,)``.

    It is at most 1. The window is normal, 11 pixels a side, less where an image is smaller.

    Args:
        a: images ``(B, C, H, W)`` with values in [0, 1].
        b: the images to compare them with, of the same shape.
    """
    rows = _window(a.shape[2], a)
    columns = _window(a.shape[3], a).T
    mean_a = rows @ a @ columns
    mean_b = rows @ b @ columns
    squares = mean_a.square() + mean_b.square()
    product = mean_a * mean_b
    # Equation 13: luminance times contrast and structure, with C3 = C2 / 2.
    variances = rows @ (a.square() + b.square()) @ columns - squares
    covariance = rows @ (a * b) @ columns - product
    luminance = (2 * product + STABILISERS[0]) / (squares + STABILISERS[0])
    structure = (2 * covariance + STABILISERS[1]) / (variances + STABILISERS[1])
    return (luminance * structure).flatten(1).mean(1)


def _window(side: int, like: Tensor) -> Tensor:
    """Return the matrix ``(positions, side)`` that slides the window along one axis."""
    # The normal window is separable, and a product of matrices is nine times as fast as conv2d.
    size = min(WINDOW, side - 1 + side % 2)
    offsets = torch.arange(side) - torch.arange(side - size + 1)[:, None] - size // 2
    weights = torch.exp(-0.5 * (offsets / WINDOW_SIGMA).square()) * (offsets.abs() <= size // 2)
    return (weights / weights.sum(1, keepdim=True)).to(like)


def latent_order(model: Autoencoder) -> Array:
    """Return the dimensions from the most to the least informative, ``(latent_dim,)``.

    By KL divergence, or by standard deviation where the posterior has none.
    """
    weight = model.latent_kl if model.variational else model.latent_std
    return np.argsort(-weight.cpu().numpy(), kind="stable")
