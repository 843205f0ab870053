"""New observations from codes: samples, paths, maps of the latent space, attributes."""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal

import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations, batches, is_single
from latentrl.training.health import latent_order
from latentrl.types import Array


def sample(model: Autoencoder, count: int, temperature: float = 1.0, seed: int = 0) -> Array:
    """Decode codes drawn from N(0, temperature^2 I).

    Args:
        model: a model of the VAE family.
        count: how many.
        temperature: standard deviation of the codes; below 1 the samples are more ordinary and less
            varied.
        seed: of the draw.

    Returns: ``(count, *output_shape)`` in the environment's units: the decoder's means, without its
        noise.

    Raises:
        TypeError: the model's codes follow no known distribution.
        ValueError: ``count`` or ``temperature`` is not positive.
    """
    _check_variational(model)
    if count < 1:
        raise ValueError(f"count is a number of samples, at least 1; got {count}")
    if not temperature > 0:
        raise ValueError(
            f"temperature is a standard deviation and must be positive, got {temperature}"
        )
    noise = np.random.default_rng(seed).standard_normal((count, model.latent_dim), np.float32)
    return model.decode(temperature * noise)


def interpolate(
    model: Autoencoder,
    start: Array,
    end: Array,
    steps: int = 9,
    path: Literal["linear", "spherical"] = "linear",
) -> Array:
    """Decode the codes on the way from one observation to another.

    Args:
        model: a model with a decoder.
        start: one observation.
        end: another.
        steps: positions, both ends included.
        path: a straight line, or an arc about the origin, which keeps to the distances from it that
            codes near N(0, I) have (White 2016, arXiv:1609.04468).

    Returns:
        ``(steps, *output_shape)``; the first and the last are the reconstructions of the two.

    Raises:
        TypeError: the model has no decoder.
        ValueError: fewer than 2 steps, an unknown path, or an end that is not one observation.
    """
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}; known: {', '.join(PATHS)}")
    _check_steps(steps)
    ends = [_one_code(model, observation) for observation in (start, end)]
    return model.decode(
        PATHS[path](ends[0], ends[1], np.linspace(0, 1, steps, dtype=np.float32)[:, None])
    )


def manifold(
    model: Autoencoder, steps: int = 15, dimensions: tuple[int, int] | None = None
) -> Array:
    """Decode a grid of normal quantiles over two latent dimensions, the others at 0.

    The grid of Kingma & Welling 2014 (arXiv:1312.6114, figure 4): each cell holds as much of N(0,
    I).

    Args:
        model: a model of the VAE family.
        steps: positions along each dimension.
        dimensions: the one that changes from row to row, and the one from column to column; None
            takes the two most informative.

    Returns:
        ``(steps, steps, *output_shape)`` in the environment's units.

    Raises:
        TypeError: the model's codes follow no known distribution.
        ValueError: fewer than 2 steps, or not two dimensions that the model has.
    """
    _check_variational(model)
    _check_steps(steps)
    if dimensions is None:
        model.check_fitted()
    if model.latent_dim < 2:
        raise ValueError("a manifold is drawn over two dimensions, and this model has one")
    chosen = [
        int(dimension)
        for dimension in (latent_order(model)[:2] if dimensions is None else dimensions)
    ]
    if len(set(chosen)) != 2 or len(chosen) != 2 or not set(chosen) <= set(range(model.latent_dim)):
        raise ValueError(
            f"a manifold is drawn over two different dimensions from 0 to {model.latent_dim - 1}, got {chosen}"
        )
    quantiles = np.array(
        [NormalDist().inv_cdf((i + 0.5) / steps) for i in range(steps)], np.float32
    )
    codes = np.zeros((steps, steps, model.latent_dim), np.float32)
    codes[..., chosen[0]], codes[..., chosen[1]] = quantiles[:, None], quantiles
    return _decode_grid(model, codes)


def traverse(
    model: Autoencoder, observation: Array, dimensions: int | None = None, steps: int = 9
) -> Array:
    """Decode the code of ``observation`` with one dimension at a time moved over its range in the
    data.

    Args:
        model: a fitted model with a decoder.
        observation: the starting point, of ``observation_space``.
        dimensions: how many, the most informative first; None does all.
        steps: positions from the 1 % to the 99 % quantile.

    Returns:
        ``(dimensions, steps, *output_shape)`` in the environment's units.

    Raises:
        TypeError: the model has no decoder.
        ValueError: fewer than 2 steps or 1 dimension, more than one observation, or an unfitted
            model.
    """
    _check_steps(steps)
    model.check_fitted()
    if dimensions is not None and dimensions < 1:
        raise ValueError(
            f"dimensions is how many to move, at least 1 or None for all; got {dimensions}"
        )
    order = latent_order(model)[:dimensions]
    quantiles = model.latent_quantiles.cpu().numpy()
    codes = np.tile(_one_code(model, observation), (len(order), steps, 1))
    for row, dimension in enumerate(order):
        codes[row, :, dimension] = np.linspace(
            quantiles[0, dimension], quantiles[-1, dimension], steps
        )
    return _decode_grid(model, codes)


def direction(model: Autoencoder, having: Observations, lacking: Observations) -> Array:
    """Return the direction of a property in the latent space (Larsen et al. 2016,
    arXiv:1512.09300).

    Args:
        model: any model.
        having: observations with the property: an array, Frames, or a path that ``as_frames``
            opens.
        lacking: observations without it.

    Returns:
        float32 ``(latent_dim,)``: the mean code of the first minus that of the second.

    Raises:
        ValueError: one of them is empty, or does not belong to the observation space.
    """
    difference: Array = _mean_code(model, having) - _mean_code(model, lacking)
    return difference.astype(np.float32)


def arithmetic(
    model: Autoencoder, observations: Array, direction: Array, strength: float = 1.0
) -> Array:
    """Decode the codes of ``observations`` moved along ``direction``.

    Args:
        model: a model with a decoder.
        observations: ``(B, *observation_shape)``, or one without ``B``.
        direction: ``(latent_dim,)``, from the function of that name.
        strength: 1 adds the property, -1 takes it away.

    Returns:
        ``(B, *output_shape)`` or without ``B``, in the environment's units.

    Raises:
        TypeError: the model has no decoder.
        ValueError: ``direction`` is not of shape ``(latent_dim,)``.
    """
    if np.shape(direction) != (model.latent_dim,):
        raise ValueError(
            f"expected a direction of shape ({model.latent_dim},), got {np.shape(direction)}"
        )
    return model.decode(model.encode(observations) + strength * np.asarray(direction))


def _decode_grid(model: Autoencoder, codes: Array) -> Array:
    decoded = model.decode(codes.reshape(-1, model.latent_dim))
    return decoded.reshape(*codes.shape[:2], *decoded.shape[1:])


def _check_variational(model: Autoencoder) -> None:
    if not model.variational:
        raise TypeError(
            f"a {model.config.model!r} model cannot be sampled: its codes follow no known distribution; "
            "train 'vae' or another of the VAE family"
        )


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise ValueError(f"steps counts the positions from end to end, at least 2; got {steps}")


def _one_code(model: Autoencoder, observation: Array) -> Array:
    if not is_single(model, observation):
        raise ValueError(
            f"expected one observation of shape {model.observation_space.shape}, got {np.shape(observation)}"
        )
    return model.encode(observation)


def _mean_code(model: Autoencoder, observations: Observations) -> Array:
    codes = np.concatenate([model.encode(batch) for batch in batches(model, observations)])
    if not len(codes):
        raise ValueError(
            "a mean code needs at least one observation with the property and one without"
        )
    mean: Array = codes.mean(0, dtype=np.float64)
    return mean


def _line(a: Array, b: Array, t: Array) -> Array:
    line: Array = (1 - t) * a + t * b
    return line


def _arc(a: Array, b: Array, t: Array) -> Array:
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / lengths, -1, 1)) if lengths > 0 else 0.0
    if np.sin(angle) < 1e-4:  # no arc, or no telling which
        return _line(a, b, t)
    arc: Array = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return arc


PATHS = {"linear": _line, "spherical": _arc}
