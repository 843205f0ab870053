"""Restoration by a trained model: inpainting of holes, and the score of the data's density."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from latentrl.latents.batched import batched
from latentrl.models.arrays import chunks, require_array
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import is_single
from latentrl.models.corruptions import GaussianNoise
from latentrl.models.preprocessing import ImagePreprocessor
from latentrl.models.vectors import VectorPreprocessor
from latentrl.types import Array


def inpaint(model: Autoencoder, observations: Array, holes: Array) -> Array:
    """Fill holes with the reconstruction of a model; all other values stay as they are.

    The values in the holes are not used: the input of the network is the lowest value of an image
    there, or the mean of the training data in a vector or sequence. A model with greyscale
    preprocessing fills holes with grey.

    Args:
        model: a model with a decoder, best ``inpainting_ae`` or ``denoising_ae`` with ``masking``.
        observations: ``(B, *observation_shape)``, or one without ``B``.
        holes: hole mask, True where values are missing: ``(H, W)``, ``(D,)`` or ``(T, D)`` for all
            observations, or with ``B`` in front.

    Returns:
        Observations of the same shape and dtype; floats that hold them where the model takes
        floats and gets whole numbers.

    Raises:
        TypeError: the model has no decoder, or the mask is not boolean.
        ValueError: the model has not been fitted, the mask has another shape, or holes in the
            region that the model crops.
    """
    observations, holes = require_array(observations), np.asarray(holes)
    if is_single(model, observations):
        filled: Array = inpaint(model, observations[None], holes)[0]
        return filled
    model.check_fitted()
    model.check_observations(observations[:0])  # shape and dtype alone: missing values may be NaN
    if model.observation_space.dtype.kind == "f" and observations.dtype.kind in "iub":
        # Reconstructions between two whole numbers would be cut off.
        observations = observations.astype(np.result_type(observations, np.float32))
    holes = _check_holes(model, holes, len(observations))
    return np.concatenate(
        [_fill(model, observations[rows], holes[rows]) for rows in chunks(len(observations))]
    )


def _check_holes(model: Autoencoder, holes: Array, count: int) -> Array:
    """Mask with ``B`` in front, and with a channel axis if the observations have one."""
    shape = model.observation_space.shape
    mask_shape = shape[:2] if len(shape) == 3 else shape
    if holes.dtype != np.bool_:
        raise TypeError(
            f"expected a boolean mask of holes, True where values are missing, got {holes.dtype}"
        )
    if holes.shape not in (mask_shape, (count, *mask_shape)):
        raise ValueError(
            f"expected holes of shape {mask_shape} or {(count, *mask_shape)}, got {holes.shape}"
        )
    kept = np.zeros(mask_shape, bool)
    kept[_kept_region(model)] = True
    if (holes & ~kept).any():
        raise ValueError(
            "some holes lie in the region that the model crops, where it reconstructs nothing"
        )
    holes = np.broadcast_to(holes, (count, *mask_shape))
    return holes[..., None] if len(shape) == 3 else holes


def _kept_region(model: Autoencoder) -> tuple[slice, ...]:
    """Region of an observation that the network reconstructs."""
    preprocess = model.preprocess
    return (
        (preprocess.rows, preprocess.columns) if isinstance(preprocess, ImagePreprocessor) else ()
    )


def _fill(model: Autoencoder, observations: Array, holes: Array) -> Array:
    corrupted = np.where(holes, _blank(model), observations).astype(observations.dtype)
    restored = model.reconstruct(corrupted)
    region = (slice(None), *_kept_region(model))
    filled: Array = observations.copy()
    restored = _to_size(restored, filled[region].shape)
    filled[region] = np.where(holes[region], restored, filled[region])
    return filled


def _blank(model: Autoencoder) -> Array:
    """Value that preprocessing scales to 0, which is what corruptions put into a hole."""
    preprocess = model.preprocess
    if isinstance(preprocess, ImagePreprocessor):
        return np.array(preprocess.low.cpu().numpy())
    assert isinstance(preprocess, VectorPreprocessor)
    mean = preprocess.mean.round() if preprocess.integral else preprocess.mean
    blank: Array = mean.cpu().numpy()
    return blank


def _to_size(images: Array, shape: tuple[int, ...]) -> Array:
    if images.ndim < 3 or images.shape[1:3] == shape[1:3]:
        return images
    x = torch.from_numpy(images).float().reshape(*images.shape[:3], -1).permute(0, 3, 1, 2)
    x = F.interpolate(x, shape[1:3], mode="bilinear", antialias=True).permute(0, 2, 3, 1)
    resized: Array = x.numpy().reshape(len(x), *shape[1:3], *images.shape[3:])
    return resized.round() if np.issubdtype(images.dtype, np.integer) else resized


def score_field(model: Autoencoder, observations: Array) -> Array:
    """Estimate the gradient of the log density of noisy observations.

    The estimate is (g(f(x)) - x) / sigma^2 with the noise level sigma of training (Alain & Bengio
    2014, arXiv:1211.4246). For the optimal denoiser it is exact, by Tweedie's formula (Efron 2011),
    for the density of the data convolved with that noise. Off the data, the gradient points back
    to them.

    Args:
        model: ``denoising_ae`` with corruption ``gaussian_noise`` alone.
        observations: ``(B, *observation_shape)``, or one without ``B``.

    Returns:
        float32 of the same shape: nats per unit of the observation's own units.

    Raises:
        TypeError: the model was not trained on Gaussian noise alone.
        ValueError: the model crops, resizes or converts its observations to greyscale.
    """
    sigma = _noise_level(model)
    if _changes_pixels(model):
        raise ValueError(
            "a score field has one value per value of the observation: train a model that neither "
            "crops, resizes nor converts to greyscale"
        )
    return batched(model, lambda batch: _scores(model, batch, sigma), observations)


def _noise_level(model: Autoencoder) -> float:
    noise = model.corruptions[0] if len(model.corruptions) == 1 else None
    if not isinstance(noise, GaussianNoise) or noise.clip:
        raise TypeError(
            "a score field needs a model trained on unclipped Gaussian noise alone, which this "
            f"{model.config.model!r} was not; train 'denoising_ae' with corruption 'gaussian_noise'"
        )
    return noise.std


def _changes_pixels(model: Autoencoder) -> bool:
    config = model.config.preprocessing
    resized = model.preprocess.output_shape != model.observation_space.shape
    return any(config.crop) or config.greyscale or resized


@torch.inference_mode()
def _scores(model: Autoencoder, observations: Array, sigma: float) -> Array:
    x = model.eval().preprocess(torch.from_numpy(observations).to(model.device))
    scores = (model.likelihood.mean(model(x)[2]).float() - x) / sigma**2
    scores = scores.permute(0, 2, 3, 1) if scores.ndim == 4 else scores
    # Chain rule: x is the observation divided by the scale, and so is the gradient.
    result: Array = scores.reshape(observations.shape).cpu().numpy() / _scale(model)
    return result


def _scale(model: Autoencoder) -> Array:
    """Divisor of each value in preprocessing."""
    preprocess = model.preprocess
    if isinstance(preprocess, ImagePreprocessor):
        return (preprocess.high - preprocess.low).cpu().numpy()
    assert isinstance(preprocess, VectorPreprocessor)
    return preprocess.std.float().cpu().numpy()
