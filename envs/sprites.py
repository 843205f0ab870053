"""Sprites with known factors, in the spirit of dSprites: for asking what a code has learned.

White shapes on black. At one scale all three shapes have the same area, and all turn about their
centroid, so that area, place and angle can be measured without knowing the shape.

Orientations cover a quarter turn. A square looks the same after 90 degrees and an ellipse after
180, so that over a full turn, as in dSprites, one image would have several orientations; within a
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
"""Names and numbers of values of the factors, in the order of the columns."""
SIDES = np.linspace(0.18, 0.36, FACTORS["scale"])
"""Square root of the area at each scale, as a share of the image's side."""
ANGLES = np.arange(FACTORS["orientation"]) * 90 / FACTORS["orientation"]
"""Degrees at each orientation, from the x axis towards the y axis: clockwise as one sees it."""
PLACES = np.linspace(0.3, 0.7, FACTORS["x"])
"""Place of the centroid, as a share of the image's side: no sprite is cut by the edge."""
MIN_SIZE = 16
CHUNK = 64  # images whose arrays stay in the processor's cache

SEMI_MINOR = 1 / math.sqrt(2 * math.pi)  # of an ellipse of area 1, twice as long as wide
DIAMOND = 1 / math.sqrt(
    1 + math.pi / 4
)  # side of the diamond in a heart of area 1: a diamond and two half discs
CENTROID = (
    math.pi / 4 * (1 / 2 + 2 / (3 * math.pi)) / math.sqrt(2) / (1 + math.pi / 4)
)  # above the diamond's, in sides

Measures = dict[str, NDArray[np.float64]]


def sprites(
    count: int, size: int = 64, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw sprites whose factors are independent and uniform.

    Args:
        count: how many.
        size: side of the images in pixels.
        seed: of the factors.

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
        factors: ``(N, 5)`` whole numbers, columns as in ``FACTORS``.
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
            part = chosen[start : start + CHUNK]
            images[part, ..., 0] = _render(sprite_values(factors[part], size), size, cover)
    return images


def sprite_values(factors: Array, size: int = 64) -> Measures:
    """Return what the factors mean in an image of ``size`` pixels, in the units of
    ``measure_sprites``.

    Returns: Arrays ``(N,)``: ``area`` in pixels; ``x`` and ``y`` of the centroid in pixels, where 0
        is the centre of the first pixel; ``angle`` in degrees.
    """
    _, scale, orientation, x, y = np.asarray(factors).T
    return {
        "area": (SIDES[scale] * size) ** 2,
        "x": PLACES[x] * size - 0.5,
        "y": PLACES[y] * size - 0.5,
        "angle": ANGLES[orientation],
    }


def measure_sprites(images: Array, background: int = 0) -> Measures:
    """Measure the sprite in each image by its moments, also in a blurred image that a decoder made.

    Args:
        images: ``(N, H, W, 1)`` or ``(N, H, W)`` in 0..255.
        background: values up to this count as black, which keeps a decoder's faint noise out.

    Returns: Arrays ``(N,)``: ``area``, ``x``, ``y`` and ``angle`` as in ``sprite_values``, the
        angle being that of the longest axis, modulo 180; and ``elongation``, how many times longer
        that axis is than the other: 2 for an ellipse, 1.2 for a heart (its longest axis is across),
        and 1 for a square, whose angle therefore means nothing. A black image has area 0 and
        otherwise NaN.

    Raises:
        ValueError: the images are not of such a shape.
    """
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,)):
        raise ValueError(f"expected images (N, H, W, 1) or (N, H, W), got shape {images.shape}")
    images = images.reshape(images.shape[:3])
    parts = [_raw_moments(images[i : i + CHUNK], background) for i in range(0, len(images), CHUNK)]
    return _from_moments(np.concatenate(parts) if parts else np.empty((0, 3, 3)))


def _check(factors: Array, size: int) -> None:
    if size < MIN_SIZE:
        raise ValueError(f"size must be at least {MIN_SIZE} pixels, got {size}")
    if (
        factors.ndim != 2
        or factors.shape[1] != len(FACTORS)
        or not np.issubdtype(factors.dtype, np.integer)
    ):
        raise ValueError(
            f"factors are whole numbers (N, {len(FACTORS)}): {', '.join(FACTORS)}; "
            f"got {factors.dtype} of shape {factors.shape}"
        )
    for (name, values), column in zip(FACTORS.items(), factors.T, strict=True):
        if column.size and not 0 <= column.min() <= column.max() < values:
            raise ValueError(
                f"{name} goes from 0 to {values - 1}, got {column.min()} to {column.max()}"
            )


# Rendering


def _render(values: Measures, size: int, cover: Callable[[Array, Array, Array], Array]) -> Array:
    area, x, y, degrees = (
        values[name].astype(np.float32)[:, None, None] for name in ("area", "x", "y", "angle")
    )
    at, angle = np.arange(size, dtype=np.float32), np.radians(degrees)
    right, down = at - x, at[:, None] - y
    along = np.cos(angle) * right + np.sin(angle) * down
    across = np.cos(angle) * down - np.sin(angle) * right
    return cover(along, across, np.sqrt(area)) * 255 + 0.5  # truncated to uint8, it is rounded


def _inside(distance: Array) -> Array:
    """Return how much of a pixel lies inside a straight edge that is ``distance`` pixels away."""
    return np.clip(distance + 0.5, 0, 1)


def _square(along: Array, across: Array, side: Array) -> Array:
    return _inside(side / 2 - np.abs(along)) * _inside(side / 2 - np.abs(across))


def _ellipse(along: Array, across: Array, side: Array) -> Array:
    minor = SEMI_MINOR * side
    # To first order the distance of a level set is the function over its gradient's length.
    p, q = along / (2 * minor), across / minor
    level = p * p + q * q
    gradient = np.sqrt((p / 2) ** 2 + q * q) * 2 / minor
    return _inside((1 - level) / np.maximum(gradient, 1e-6))


def _heart(along: Array, across: Array, side: Array) -> Array:
    side = DIAMOND * side
    right, up = np.abs(along), CENTROID * side - across
    p, q = (right + up) / math.sqrt(2), (right - up) / math.sqrt(2)  # along the diamond's edges
    diamond = _inside(side / 2 - np.abs(p)) * _inside(side / 2 - np.abs(q))
    heart: Array = np.maximum(diamond, _inside(side / 2 - np.hypot(p - side / 2, q)))
    return heart


COVERS = (_square, _ellipse, _heart)


# Measuring


def _raw_moments(images: Array, background: int) -> Array:
    """Return the sums of ``value * y**i * x**j`` for i, j up to 2, ``(N, 3, 3)``, with values in
    [0, 1].
    """
    values = np.where(images > background, images, 0) / 255
    rows, columns = (np.arange(side)[:, None] ** np.arange(3) for side in images.shape[1:])
    moments: Array = rows.T @ values @ columns
    return moments


def _from_moments(raw: Array) -> Measures:
    area = raw[:, 0, 0]
    scaled = raw / np.where(area > 0, area, np.nan)[:, None, None]
    x, y = scaled[:, 0, 1], scaled[:, 1, 0]
    xx, yy, xy = scaled[:, 0, 2] - x * x, scaled[:, 2, 0] - y * y, scaled[:, 1, 1] - x * y
    spread = np.hypot(xx - yy, 2 * xy)
    return {
        "area": area,
        "x": x,
        "y": y,
        "angle": np.degrees(np.arctan2(2 * xy, xx - yy) / 2) % 180,
        "elongation": np.sqrt((xx + yy + spread) / np.maximum(xx + yy - spread, 1e-9)),
    }
