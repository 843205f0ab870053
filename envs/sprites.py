"""Images of one sprite with known factors, to measure what latents represent.

The factors are those of dSprites (Matthey et al. 2017). Shapes are white on black. At one scale all
three shapes have the same area, and all turn about their centroid, so that area, position and angle
can be measured without the shape.

Orientations cover a quarter turn. A square looks the same after 90 degrees and an ellipse after
180, so that over a full turn, as in dSprites, one image would have several orientations. Within a
quarter turn every image has one, and one step is the same angle for every shape. A square's last
orientation is still one step from its first: use ellipses or hearts where an orientation must not
wrap around.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from latentrl.types import Array

SHAPES = ("square", "ellipse", "heart")
FACTORS = {"shape": len(SHAPES), "scale": 6, "orientation": 20, "x": 16, "y": 16}
"""Number of values of each factor, in the order of the columns."""
SIDES = np.linspace(0.18, 0.36, FACTORS["scale"])
"""Square root of the area at each scale, as a fraction of the image's side."""
ANGLES = np.arange(FACTORS["orientation"]) * 90 / FACTORS["orientation"]
"""Degrees at each orientation, from the x axis towards the y axis: clockwise in the image."""
POSITIONS = np.linspace(0.3, 0.7, FACTORS["x"])
"""Position of the centroid, as a fraction of the image's side; no sprite touches the edge."""
MIN_SIZE = 16
CHUNK = 64
"""Images per batch, small enough for the processor's cache."""

# An ellipse of semi-axes b and 2b has the area 2 pi b^2.
SEMI_MINOR = 1 / math.sqrt(2 * math.pi)
"""Semi-minor axis of an ellipse of area 1 that is twice as long as wide."""
# A heart is a diamond of side s and, on its two upper edges, half discs of diameter s: its area is
# s^2 (1 + pi / 4).
DIAMOND = 1 / math.sqrt(1 + math.pi / 4)
"""Side of the diamond in a heart of area 1."""
# The centroid of a half disc is 2 s / (3 pi) beyond its edge, which is s / 2 from the diamond's
# centre; of that distance 1 / sqrt(2) is vertical.
CENTROID = math.pi / 4 * (1 / 2 + 2 / (3 * math.pi)) / math.sqrt(2) / (1 + math.pi / 4)
"""Height of the heart's centroid above the diamond's centre, in sides of the diamond."""

Measures = dict[str, NDArray[np.float64]]


def sprites(
    count: int, size: int = 64, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw sprites whose factors are independent and uniform.

    Args:
        count: number of images.
        size: side of the images in pixels.
        seed: seed of the factors.

    Returns:
        Images ``(count, size, size, 1)`` in 0..255, and factors ``(count, 5)`` as in ``FACTORS``.

    Raises:
        ValueError: ``count`` is less than 1, or ``size`` less than 16.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    factors = np.random.default_rng(seed).integers(0, list(FACTORS.values()), (count, len(FACTORS)))
    return render_sprites(factors, size), factors


def render_sprites(factors: Array, size: int = 64) -> NDArray[np.uint8]:
    """Render sprites of given factors, with smooth edges.

    Args:
        factors: ``(N, 5)`` integers, columns as in ``FACTORS``.
        size: side of the images in pixels.

    Returns:
        Images ``(N, size, size, 1)`` in 0..255.

    Raises:
        ValueError: a factor is out of its range, the shape is not ``(N, 5)``, or ``size`` is less
            than 16.
    """
    _check(factors, size)
    images = np.empty((len(factors), size, size, 1), np.uint8)
    for shape, cover in enumerate(COVERS):
        chosen = np.flatnonzero(factors[:, 0] == shape)
        for start in range(0, len(chosen), CHUNK):
            batch = chosen[start : start + CHUNK]
            images[batch, ..., 0] = _render(sprite_values(factors[batch], size), size, cover)
    return images


def sprite_values(factors: Array, size: int = 64) -> Measures:
    """Return the geometry of sprites in the units of ``measure_sprites``.

    Args:
        factors: ``(N, 5)`` integers, columns as in ``FACTORS``.
        size: side of the images in pixels.

    Returns:
        Arrays ``(N,)``: ``area`` in pixels; ``x`` and ``y`` of the centroid in pixels, where 0 is
        the centre of the first pixel; ``angle`` in degrees.
    """
    _, scale, orientation, x, y = np.asarray(factors).T
    return {
        "area": (SIDES[scale] * size) ** 2,
        "x": POSITIONS[x] * size - 0.5,
        "y": POSITIONS[y] * size - 0.5,
        "angle": ANGLES[orientation],
    }


def measure_sprites(images: Array, background: int = 0) -> Measures:
    """Measure the sprite in each image by its moments; blurred reconstructions work as well.

    Args:
        images: ``(N, H, W, 1)`` or ``(N, H, W)`` in 0..255.
        background: values up to this count as black, which excludes a decoder's faint noise.

    Returns:
        Arrays ``(N,)``: ``area``, ``x``, ``y`` and ``angle`` as in ``sprite_values``, the angle
        being that of the longest axis, modulo 180; and ``elongation``, the ratio of that axis to
        the other: 2 for an ellipse, 1.2 for a heart (its longest axis is across), and 1 for a
        square, whose angle is therefore undefined. A black image has area 0 and otherwise NaN.

    Raises:
        ValueError: the images have another shape.
    """
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,)):
        raise ValueError(f"expected images (N, H, W, 1) or (N, H, W), got shape {images.shape}")
    images = images.reshape(images.shape[:3])
    chunks = [_raw_moments(images[i : i + CHUNK], background) for i in range(0, len(images), CHUNK)]
    return _from_moments(np.concatenate(chunks) if chunks else np.empty((0, 3, 3)))


def _check(factors: Array, size: int) -> None:
    if size < MIN_SIZE:
        raise ValueError(f"size must be at least {MIN_SIZE} pixels, got {size}")
    if (
        factors.ndim != 2
        or factors.shape[1] != len(FACTORS)
        or not np.issubdtype(factors.dtype, np.integer)
    ):
        raise ValueError(
            f"factors must be integers (N, {len(FACTORS)}): {', '.join(FACTORS)}; "
            f"got {factors.dtype} of shape {factors.shape}"
        )
    for (name, values), column in zip(FACTORS.items(), factors.T, strict=True):
        if column.size and not 0 <= column.min() <= column.max() < values:
            raise ValueError(
                f"{name} must be in 0..{values - 1}, got {column.min()} to {column.max()}"
            )


# Rendering


def _render(values: Measures, size: int, cover: Callable[[Array, Array, Array], Array]) -> Array:
    area, x, y, degrees = (
        values[name].astype(np.float32)[:, None, None] for name in ("area", "x", "y", "angle")
    )
    at = np.arange(size, dtype=np.float32)
    angle = np.radians(degrees)
    right = at - x
    down = at[:, None] - y
    # Coordinates along the sprite's own axes, (N, size, size).
    along = np.cos(angle) * right + np.sin(angle) * down
    across = np.cos(angle) * down - np.sin(angle) * right
    # The assignment to uint8 truncates; with 0.5 more it rounds.
    return cover(along, across, np.sqrt(area)) * 255 + 0.5


def _inside(distance: Array) -> Array:
    """Return the fraction of a pixel inside a straight edge that is ``distance`` pixels away."""
    return np.clip(distance + 0.5, 0, 1)


def _square(along: Array, across: Array, side: Array) -> Array:
    return _inside(side / 2 - np.abs(along)) * _inside(side / 2 - np.abs(across))


def _ellipse(along: Array, across: Array, side: Array) -> Array:
    minor = SEMI_MINOR * side
    # To first order the distance to the level set f = 1 is (1 - f) / |grad f|.
    p = along / (2 * minor)
    q = across / minor
    level = p * p + q * q
    gradient = np.sqrt((p / 2) ** 2 + q * q) * 2 / minor
    return _inside((1 - level) / np.maximum(gradient, 1e-6))


def _heart(along: Array, across: Array, side: Array) -> Array:
    side = DIAMOND * side
    # The two halves are mirror images, so that one half disc is enough.
    right = np.abs(along)
    up = CENTROID * side - across
    p = (right + up) / math.sqrt(2)  # along the diamond's edges
    q = (right - up) / math.sqrt(2)
    diamond = _inside(side / 2 - np.abs(p)) * _inside(side / 2 - np.abs(q))
    heart: Array = np.maximum(diamond, _inside(side / 2 - np.hypot(p - side / 2, q)))
    return heart


COVERS = (_square, _ellipse, _heart)


# Measuring


def _raw_moments(images: Array, background: int) -> Array:
    """Return the sums of ``value * y**i * x**j`` for i, j up to 2, ``(N, 3, 3)``."""
    values = np.where(images > background, images, 0) / 255
    rows, columns = (np.arange(side)[:, None] ** np.arange(3) for side in images.shape[1:])
    moments: Array = rows.T @ values @ columns
    return moments


def _from_moments(raw: Array) -> Measures:
    area = raw[:, 0, 0]
    scaled = raw / np.where(area > 0, area, np.nan)[:, None, None]
    x, y = scaled[:, 0, 1], scaled[:, 1, 0]
    xx = scaled[:, 0, 2] - x * x
    yy = scaled[:, 2, 0] - y * y
    xy = scaled[:, 1, 1] - x * y
    # The eigenvalues of the covariance are (xx + yy +- gap) / 2, and its first axis has the angle
    # atan2(2 xy, xx - yy) / 2.
    gap = np.hypot(xx - yy, 2 * xy)
    return {
        "area": area,
        "x": x,
        "y": y,
        "angle": np.degrees(np.arctan2(2 * xy, xx - yy) / 2) % 180,
        "elongation": np.sqrt((xx + yy + gap) / np.maximum(xx + yy - gap, 1e-9)),
    }
