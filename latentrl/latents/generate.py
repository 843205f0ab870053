"""New observations from latents: samples, interpolations, traversals, directions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np

from latentrl.latents.batched import batched
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations, is_single
from latentrl.training.health import latent_order
from latentrl.types import Array

COMPARED = 64
"""Dimensions whose ends are decoded at once."""


def sample(model: Autoencoder, count: int, temperature: float = 1.0, seed: int = 0) -> Array:
    """Decode latents drawn from N(0, temperature^2 I).

    Args:
        model: a model of the VAE family.
        count: number of samples.
        temperature: standard deviation of the latents; below 1 the samples are more typical and
            less varied.
        seed: seed of the latents.

    Returns:
        Means of p(x | z), ``(count, *output_shape)`` in the environment's units.

    Raises:
        TypeError: the model has no prior over its latents.
        ValueError: ``count`` or ``temperature`` is not positive, or the model has not been fitted.
    """
    _check_variational(model)
    model.check_fitted()
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
    """Decode the latents on the way from one observation to another.

    Args:
        model: a model with a decoder.
        start: the first observation.
        end: the last observation.
        steps: number of latents, both ends included.
        path: a straight line, or an arc about the origin (White 2016, arXiv:1609.04468). The arc
            keeps the norm that samples of N(0, I) have; the line passes closer to the origin.

    Returns:
        ``(steps, *output_shape)``; the first and the last are the reconstructions of the ends.

    Raises:
        TypeError: the model has no decoder.
        ValueError: fewer than 2 steps, an unknown path, or an end that is not one observation.
    """
    if path not in PATHS:
        raise ValueError(f"unknown path {path!r}; known: {', '.join(PATHS)}")
    _check_steps(steps)
    first = _single_latent(model, start)
    last = _single_latent(model, end)
    positions = np.linspace(0, 1, steps, dtype=np.float32)
    return model.decode(PATHS[path](first, last, positions[:, None]))


def manifold(
    model: Autoencoder, steps: int = 15, dimensions: tuple[int, int] | None = None
) -> Array:
    """Decode a grid of normal quantiles over two latent dimensions, the others at 0.

    This is figure 4 of Kingma & Welling 2014 (arXiv:1312.6114): each cell has equal probability
    under N(0, I).

    Args:
        model: a model of the VAE family.
        steps: number of positions along each dimension.
        dimensions: the dimension that changes over the rows, and that over the columns; None is
            the two most informative.

    Returns:
        ``(steps, steps, *output_shape)`` in the environment's units.

    Raises:
        TypeError: the model has no prior over its latents.
        ValueError: fewer than 2 steps, or not two different dimensions of the model.
    """
    _check_variational(model)
    _check_steps(steps)
    if dimensions is None:
        model.check_fitted()
    if model.latent_dim < 2:
        raise ValueError("a manifold needs two latent dimensions, and this model has one")
    chosen = [int(i) for i in (latent_order(model)[:2] if dimensions is None else dimensions)]
    if len(set(chosen)) != 2 or len(chosen) != 2 or not set(chosen) <= set(range(model.latent_dim)):
        raise ValueError(
            f"a manifold needs two different dimensions from 0 to {model.latent_dim - 1}, "
            f"got {chosen}"
        )
    # The middles of equal probabilities: the quantiles at 0 and 1 are infinite.
    middles = (np.arange(steps) + 0.5) / steps
    quantiles = np.array([NormalDist().inv_cdf(p) for p in middles], np.float32)
    latents = np.zeros((steps, steps, model.latent_dim), np.float32)
    latents[..., chosen[0]] = quantiles[:, None]
    latents[..., chosen[1]] = quantiles
    return _decode_grid(model, latents)


def traverse(
    model: Autoencoder,
    observation: Array,
    dimensions: int | Sequence[int] | None = None,
    steps: int = 9,
) -> Array:
    """Decode the latent of ``observation`` with one dimension at a time moved over its range.

    Args:
        model: a fitted model with a decoder.
        observation: one observation, which all other dimensions are taken from.
        dimensions: number of dimensions, the most informative first, or the dimensions themselves,
            such as those of ``shown_dimensions``; None is all.
        steps: number of positions from the 1 % to the 99 % quantile of the training latents.

    Returns:
        ``(dimensions, steps, *output_shape)`` in the environment's units.

    Raises:
        TypeError: the model has no decoder.
        ValueError: fewer than 2 steps or 1 dimension, a dimension that the model lacks, more than
            one observation, or an unfitted model.
    """
    _check_steps(steps)
    model.check_fitted()
    chosen = _traversed(model, dimensions)
    return _decode_grid(model, _moved(model, _single_latent(model, observation), chosen, steps))


def shown_dimensions(model: Autoencoder, observation: Array, count: int) -> list[int]:
    """Return the dimensions of an image of traversals, the one to draw first in front.

    A vector shows its most informative dimensions. A cell of a grid may be informative about other
    frames alone: a grid shows the dimensions that change the decoded image of this one most, by the
    mean absolute difference between the ends of their ranges.

    Args:
        model: a fitted model with a decoder.
        observation: the observation that the traversals start from.
        count: number of dimensions.

    Raises:
        TypeError: the model has no decoder.
        ValueError: more than one observation, or an unfitted model.
    """
    model.check_fitted()
    order = latent_order(model)
    if model.latent_layout.grid is not None:
        latent = _single_latent(model, observation)
        low, high = model.latent_quantiles[[0, -1]].cpu().numpy()
        changes = decoded_changes(model, latent, low, high)[order]
        order = order[np.argsort(-changes, kind="stable")]
    chosen: list[int] = order[:count].tolist()
    return chosen


def decoded_changes(model: Autoencoder, latent: Array, low: Array, high: Array) -> Array:
    """Return how much each dimension alone changes what is decoded, ``(latent_dim,)``.

    It is the mean absolute difference between the ends of the dimension's range, in the
    environment's units.

    Args:
        model: a model with a decoder.
        latent: latent ``(latent_dim,)`` that all other dimensions are taken from.
        low: one end of each range, ``(latent_dim,)``.
        high: the other ends, likewise.

    Raises:
        TypeError: the model has no decoder.
    """
    changes = []
    for start in range(0, model.latent_dim, COMPARED):
        chosen = np.arange(start, min(start + COMPARED, model.latent_dim))
        moved = np.tile(latent, (len(chosen), 2, 1))
        moved[np.arange(len(chosen)), :, chosen] = np.stack([low, high], 1)[chosen]
        ends = _decode_grid(model, moved).astype(np.float32)
        changes += np.abs(ends[:, 1] - ends[:, 0]).reshape(len(ends), -1).mean(1).tolist()
    return np.array(changes)


def _traversed(model: Autoencoder, dimensions: int | Sequence[int] | None) -> Array:
    if isinstance(dimensions, Sequence | np.ndarray):
        chosen = np.asarray(dimensions)
        numbers = chosen.ndim == 1 and chosen.dtype.kind in "iu"
        if not (numbers and set(chosen.tolist()) <= set(range(model.latent_dim))):
            raise ValueError(
                f"dimensions of this model are whole numbers from 0 to {model.latent_dim - 1}, got "
                f"{chosen.tolist()}"
            )
        return chosen
    count = None if dimensions is None else operator.index(dimensions)
    if count is not None and count < 1:
        raise ValueError(
            f"dimensions is a number of dimensions, at least 1, or None for all; got {count}"
        )
    return latent_order(model)[:count]


def _moved(model: Autoencoder, latent: Array, dimensions: Array, steps: int) -> Array:
    """Return the latent with one of ``dimensions`` moved in each row, ``(rows, steps, dim)``."""
    quantiles = model.latent_quantiles.cpu().numpy()
    latents = np.tile(latent, (len(dimensions), steps, 1))
    for row, dimension in enumerate(dimensions):
        low, high = quantiles[[0, -1], dimension]
        latents[row, :, dimension] = np.linspace(low, high, steps)
    return latents


def direction(model: Autoencoder, positive: Observations, negative: Observations) -> Array:
    """Direction of an attribute in the latent space (Larsen et al. 2016, arXiv:1512.09300).

    Args:
        model: any model.
        positive: observations with the attribute: an array, Frames, or a path that ``as_frames``
            opens.
        negative: observations without it.

    Returns:
        float32 ``(latent_dim,)``: the mean latent of the positive observations less that of the
        negative ones.

    Raises:
        ValueError: one of them is empty, or does not belong to the observation space.
    """
    difference: Array = _mean_latent(model, positive) - _mean_latent(model, negative)
    return difference.astype(np.float32)


def arithmetic(
    model: Autoencoder, observations: Array, direction: Array, strength: float = 1.0
) -> Array:
    """Decode the latents of ``observations`` moved along ``direction``.

    Args:
        model: a model with a decoder.
        observations: ``(B, *observation_shape)``, or one without ``B``.
        direction: ``(latent_dim,)``, from the function of that name.
        strength: multiple of the direction; 1 adds the attribute, -1 removes it.

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


def _decode_grid(model: Autoencoder, latents: Array) -> Array:
    decoded = model.decode(latents.reshape(-1, model.latent_dim))
    return decoded.reshape(*latents.shape[:2], *decoded.shape[1:])


def _check_variational(model: Autoencoder) -> None:
    if not model.variational:
        raise TypeError(
            f"the {model.config.model!r} model cannot be sampled: it has no prior over its "
            "latents; train 'vae' or another model of the VAE family"
        )


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise ValueError(
            f"steps is a number of positions, both ends included, at least 2; got {steps}"
        )


def _single_latent(model: Autoencoder, observation: Array) -> Array:
    if not is_single(model, observation):
        raise ValueError(
            f"expected one observation of shape {model.observation_space.shape}, "
            f"got {np.shape(observation)}"
        )
    return model.encode(observation)


def _mean_latent(model: Autoencoder, observations: Observations) -> Array:
    latents = np.atleast_2d(batched(model, model.encode, observations))
    if not len(latents):
        raise ValueError("a direction needs at least one positive and one negative observation")
    mean: Array = latents.mean(0, dtype=np.float64)
    return mean


def _line(a: Array, b: Array, t: Array) -> Array:
    line: Array = (1 - t) * a + t * b
    return line


def _arc(a: Array, b: Array, t: Array) -> Array:
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / norms, -1, 1)) if norms > 0 else 0.0
    # Parallel latents have no arc, opposite ones have many, and the division below overflows.
    if np.sin(angle) < 1e-4:
        return _line(a, b, t)
    arc: Array = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return arc


PATHS = {"linear": _line, "spherical": _arc}
