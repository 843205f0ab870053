"""Principal components of more frames than fit in memory, by block power iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentrl.data.frames import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import scaled_batches

PASSES = 8
"""Power iterations; each multiplies the error by the ratio of unwanted to wanted variances."""
OVERSAMPLING = 16
"""Directions beyond the wanted ones, which keep the last of those accurate."""


@torch.no_grad()
def fit_pca(model: Autoencoder, frames: Frames, seed: int = 0) -> None:
    """Set a linear model's weights to the leading principal components of ``frames``.

    Each pass multiplies a block of directions by the covariance, streamed over the frames, and
    orthonormalises it; the last one rotates them to the eigenvectors (Halko et al. 2011,
    arXiv:0909.4061). Components have unit length and latents are their scores.

    Args:
        model: a model of backbone "linear".
        frames: the training frames.
        seed: seed of the initial directions.
    """
    # float64: the mean of 10^6 frames in float32 would lose their last digits.
    mean = sum(x.flatten(1).double().sum(0) for x in scaled_batches(model, frames)) / len(frames)
    assert isinstance(mean, Tensor)
    width = min(model.latent_dim + OVERSAMPLING, len(mean))
    start = torch.randn(len(mean), width, generator=torch.Generator().manual_seed(seed))
    basis = _orthonormal(start.to(model.device))
    for _ in range(PASSES):
        basis = _orthonormal(_covariance_times(model, frames, mean.float(), basis))
    # Rayleigh-Ritz: the eigenvectors of the covariance within the subspace.
    small = basis.T @ _covariance_times(model, frames, mean.float(), basis)
    _, rotation = torch.linalg.eigh((small + small.T) / 2)
    components = (basis @ rotation).flip(1)[:, : model.latent_dim]
    _write_weights(model, mean.float(), _fix_signs(components))


def _orthonormal(columns: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis


def _covariance_times(model: Autoencoder, frames: Frames, mean: Tensor, basis: Tensor) -> Tensor:
    product = torch.zeros_like(basis)
    for x in scaled_batches(model, frames):
        centred = x.flatten(1) - mean
        product += centred.T @ (centred @ basis)
    return product / len(frames)


def _fix_signs(components: Tensor) -> Tensor:
    # An eigenvector's sign is arbitrary; the largest entry is made positive, for the same bits.
    largest = components.abs().argmax(0)
    return components * components.gather(0, largest[None]).sign()


def _write_weights(model: Autoencoder, mean: Tensor, components: Tensor) -> None:
    encode, decode = _linear(model.encoder), _linear(model.decoder)
    encode.weight.copy_(components.T)
    encode.bias.copy_(-mean @ components)
    decode.weight.copy_(components)
    decode.bias.copy_(mean)


def _linear(network: nn.Module | None) -> nn.Linear:
    assert network is not None
    return next(module for module in network.modules() if isinstance(module, nn.Linear))
