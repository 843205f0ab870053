"""Filling holes, and the slope of the data's log density, by the reconstruction of a trained
model.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from latentrl.models.arrays import CHUNK
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import batches, is_single
from latentrl.models.corruptions import GaussianNoise
from latentrl.models.preprocessing import ImagePreprocessor, VectorPreprocessor
from latentrl.types import Array


def inpaint(model: Autoencoder, observations: Array, holes: Array) -> Array:
    """Fill holes from what is around them; all else stays as it is.

    What was in the holes is not used: the model sees the lowest value of an image there, or the
    mean of the training data in a vector or sequence. A model of grey images fills in grey.

    Args:
        model: a model with a decoder, best ``inpainting_ae`` or ``denoising_ae`` with ``masking``.
        observations: ``(B, *observation_shape)``, or one without ``B``.
        holes: True where values are missing: ``(H, W)``, ``(D,)`` or ``(T, D)`` for all
            observations alike, or with ``B`` in front.

    Returns:
        Observations of the same shape and dtype.

    Raises:
        TypeError: the model has no decoder, or holes are not boolean.
        ValueError: holes are of another shape, or lie where the model crops.
    """
    observations, holes = np.asarray(observations), np.asarray(holes)
    if is_single(model, observations):
        filled: Array = inpaint(model, observations[None], holes)[0]
        return filled
    model.check_observations(observations[:0])  # not yet the values: missing ones may be NaN
    holes = _check_holes(model, holes, len(observations))
    chunks = [slice(start, start + CHUNK) for start in range(0, max(len(observations), 1), CHUNK)]
    return np.concatenate([_fill(model, observations[chunk], holes[chunk]) for chunk in chunks])


def _check_holes(model: Autoencoder, holes: Array, count: int) -> Array:
    """Return the holes with ``B`` in front, and a channel axis where the observations have one."""
    shape = model.observation_space.shape
    place = shape[:2] if len(shape) == 3 else shape
    if holes.dtype != np.bool_:
        raise TypeError(
            f"expected holes as booleans, True where values are missing, got {holes.dtype}"
        )
    if holes.shape not in (place, (count, *place)):
        raise ValueError(f"expected holes of shape {place} or {(count, *place)}, got {holes.shape}")
    kept = np.zeros(place, bool)
    kept[_seen(model)] = True
    if (holes & ~kept).any():
        raise ValueError(
            "some holes lie where the model crops the image, so that it cannot fill them"
        )
    holes = np.broadcast_to(holes, (count, *place))
    return holes[..., None] if len(shape) == 3 else holes


def _seen(model: Autoencoder) -> tuple[slice, ...]:
    preprocess = model.preprocess
    return (
        (preprocess.rows, preprocess.columns) if isinstance(preprocess, ImagePreprocessor) else ()
    )


def _fill(model: Autoencoder, observations: Array, holes: Array) -> Array:
    damaged = np.where(holes, _blank(model), observations).astype(observations.dtype)
    restored, seen = model.reconstruct(damaged), (slice(None), *_seen(model))
    filled: Array = observations.copy()
    filled[seen] = np.where(holes[seen], _to_size(restored, filled[seen].shape), filled[seen])
    return filled


def _blank(model: Autoencoder) -> Array:
    """Return the observation that the network sees as 0, where corruptions put 0."""
    preprocess = model.preprocess
    if isinstance(preprocess, ImagePreprocessor):
        return np.array(preprocess.low)
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
    """Estimate the gradient of the log density of noisy observations (Alain & Bengio 2014,
    arXiv:1211.4246).

    It is (g(f(x)) - x) / sigma^2, with the noise that the model was trained on: its density is that
    of the data smoothed by so much noise. In directions in which the data do not vary, it points
    back to them.

    Args:
        model: ``denoising_ae`` with corruption ``gaussian_noise`` alone.
        observations: ``(B, *observation_shape)``, or one without ``B``.

    Returns:
        float32 of the same shape: nats per unit of the observation's own units.

    Raises:
        TypeError: the model was trained otherwise.
        ValueError: the model crops, resizes or takes the colour from its observations.
    """
    sigma = _noise(model)
    if _changes_pixels(model):
        raise ValueError(
            "a score field has a value for each value of the observation: preprocess without changes"
        )
    parts = [_scores(model, batch, sigma) for batch in batches(model, observations)]
    scores = np.concatenate(parts)
    return scores[0] if is_single(model, observations) else scores


def _noise(model: Autoencoder) -> float:
    noise = model.corruptions[0] if len(model.corruptions) == 1 else None
    if not isinstance(noise, GaussianNoise) or noise.clip:
        raise TypeError(
            f"this {model.config.model!r} model estimates no score: "
            "train 'denoising_ae' with corruption 'gaussian_noise' alone, not clipped"
        )
    return noise.std


def _changes_pixels(model: Autoencoder) -> bool:
    config = model.config.preprocessing
    resized = model.preprocess.output_space.shape != model.observation_space.shape
    return any(config.crop) or config.greyscale or resized


@torch.inference_mode()
def _scores(model: Autoencoder, observations: Array, sigma: float) -> Array:
    x = model.eval().preprocess(torch.from_numpy(observations).to(model.device))
    scores = (model.likelihood.mean(model(x)[2]).float() - x) / sigma**2
    scores = scores.permute(0, 2, 3, 1) if scores.ndim == 4 else scores
    result: Array = scores.reshape(observations.shape).cpu().numpy() / _scale(model)
    return result


def _scale(model: Autoencoder) -> Array:
    """Return by what preprocessing divides each value."""
    preprocess = model.preprocess
    if isinstance(preprocess, ImagePreprocessor):
        return np.array(preprocess.high - preprocess.low, np.float32)
    assert isinstance(preprocess, VectorPreprocessor)
    std: Array = preprocess.std.cpu().numpy()
    return std
