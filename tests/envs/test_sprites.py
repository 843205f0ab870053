"""Sprites against brute force, and measured factors against given ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import latentrl as lrl
from envs.sprites import FACTORS, SHAPES, measure_sprites, render_sprites, sprite_values, sprites

NAMES = list(FACTORS)
SQUARE, ELLIPSE, HEART = range(3)
FINE = 16
"""Points per pixel and direction."""
# The largest errors are at edges of 45 degrees, and where the heart's lobes meet.
LARGEST_ERROR = (0.07, 0.07, 0.25)
"""Largest error of a pixel of each shape, in [0, 1]."""


def contains(shape: int, u: Any, v: Any, area: float) -> Any:
    """Return which points are in a shape by its definition; a heart's origin is its diamond's."""
    if shape == SQUARE:
        return np.maximum(np.abs(u), np.abs(v)) <= math.sqrt(area) / 2
    if shape == ELLIPSE:
        minor = math.sqrt(area / (2 * math.pi))
        return (u / (2 * minor)) ** 2 + (v / minor) ** 2 <= 1
    side = math.sqrt(area / (1 + math.pi / 4))
    half = side / math.sqrt(8)
    discs = [(u - sign * half) ** 2 + (v + half) ** 2 <= (side / 2) ** 2 for sign in (-1, 1)]
    return discs[0] | discs[1] | (np.abs(u) + np.abs(v) <= side / math.sqrt(2))


def brute_force(factors: Any, size: int) -> Any:
    """Count the points inside among 16 x 16 in each pixel, ``(size, size)`` in 0..255."""
    value = {name: float(values[0]) for name, values in sprite_values(factors[None], size).items()}
    at = (np.arange(size * FINE) + 0.5) / FINE - 0.5
    angle = math.radians(value["angle"])
    right, down = at[None] - value["x"], at[:, None] - value["y"]
    u = math.cos(angle) * right + math.sin(angle) * down
    v = math.cos(angle) * down - math.sin(angle) * right
    if factors[0] == HEART:
        grid = np.linspace(-size / 2, size / 2, 2001)
        heart = contains(HEART, grid[None], grid[:, None], value["area"])
        v = v + (heart * grid[:, None]).sum() / heart.sum()
    covered = contains(int(factors[0]), u, v, value["area"])
    return 255 * covered.reshape(size, FINE, size, FINE).mean((1, 3))


def angle_between(a: Any, b: Any) -> Any:
    """Return the degrees between two axes, which point both ways."""
    return np.abs((a - b + 90) % 180 - 90)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("factors", [(0, 5), (3, 0), (5, 7), (2, 10), (4, 19)], ids=str)
@pytest.mark.parametrize("shape", range(3), ids=SHAPES)
def test_rendering_equals_brute_force(shape: int, factors: tuple[int, int], size: int) -> None:
    row = np.array([shape, *factors, 3, 12])
    difference = np.abs(render_sprites(row[None], size)[0, ..., 0] - brute_force(row, size))
    assert difference.max() < LARGEST_ERROR[shape] * 255
    assert difference.sum() / 255 < 0.15 * math.sqrt(sprite_values(row[None], size)["area"][0])


def test_pixels_of_upright_squares_are_their_overlap() -> None:
    factors = np.stack(np.meshgrid(0, range(6), 0, range(16), 4, indexing="ij"), -1).reshape(-1, 5)
    value = sprite_values(factors, 32)
    half, edges = np.sqrt(value["area"])[:, None] / 2, np.arange(32) - 0.5

    def overlap(centre: Any) -> Any:
        return (
            np.minimum(edges + 1, centre[:, None] + half)
            - np.maximum(edges, centre[:, None] - half)
        ).clip(0)

    expected = 255 * overlap(value["y"])[:, :, None] * overlap(value["x"])[:, None, :]
    np.testing.assert_allclose(render_sprites(factors, 32)[..., 0], expected, atol=0.51)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_measured_factors_equal_given_ones(size: int) -> None:
    images, factors = sprites(3000, size, seed=1)
    given, measured = sprite_values(factors, size), measure_sprites(images)
    for name in ("x", "y"):
        np.testing.assert_allclose(measured[name], given[name], atol=0.1)
    np.testing.assert_allclose(measured["area"], given["area"], rtol=0.04)
    difference = angle_between(measured["angle"], given["angle"])
    assert difference[factors[:, 0] == ELLIPSE].max() < 1
    assert difference[factors[:, 0] == HEART].max() < 4
    for shape, elongation in ((SQUARE, 1), (ELLIPSE, 2), (HEART, 1.18)):
        np.testing.assert_allclose(
            measured["elongation"][factors[:, 0] == shape], elongation, rtol=0.05
        )


@pytest.mark.parametrize("shape", range(3), ids=SHAPES)
def test_a_larger_scale_is_a_larger_area(shape: int) -> None:
    scales = np.array([[shape, scale, 3, 7, 8] for scale in range(FACTORS["scale"])])
    areas = measure_sprites(render_sprites(scales))["area"]
    assert (np.diff(areas) > 20).all()
    assert areas[-1] / areas[0] == pytest.approx(4, rel=0.02)


def test_one_factor_changes_one_measure() -> None:
    factors = np.array([[ELLIPSE, 3, 4, 5, 6]] * 2)
    factors[1, NAMES.index("x")] += 6
    before, after = (measure_sprites(render_sprites(row[None])) for row in factors)
    assert after["x"] - before["x"] == pytest.approx(6 * 64 * 0.4 / 15, abs=0.05)
    for name in ("area", "y", "angle"):
        assert after[name] == pytest.approx(before[name], rel=0.01)


@pytest.mark.parametrize("size", [16, 64])
def test_no_sprite_touches_the_edge(size: int) -> None:
    corners = np.stack(
        np.meshgrid(range(3), 5, range(20), (0, 15), (0, 15), indexing="ij"), -1
    ).reshape(-1, 5)
    area = measure_sprites(render_sprites(corners, size))["area"]
    np.testing.assert_allclose(area, sprite_values(corners, size)["area"], rtol=0.04)


def test_sprites_are_images_that_depend_on_the_seed_alone() -> None:
    images, factors = sprites(500, 32, seed=3)
    assert (images.shape, images.dtype, images.min(), images.max()) == (
        (500, 32, 32, 1),
        np.uint8,
        0,
        255,
    )
    assert (factors.shape, factors.dtype) == ((500, 5), np.int64)
    for found, expected in zip(sprites(500, 32, seed=3), (images, factors), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(sprites(500, 32, seed=4)[1], factors)
    assert lrl.as_frames(images).space.shape == (32, 32, 1)


def test_all_values_of_all_factors_occur_and_are_independent() -> None:
    factors = np.random.default_rng(0).permutation(sprites(3000, 16)[1])
    for column, count in zip(factors.T, FACTORS.values(), strict=True):
        assert np.bincount(column, minlength=count).min() > 0.7 * 3000 / count
    assert np.abs(np.corrcoef(factors.T) - np.eye(5)).max() < 0.06


@pytest.mark.parametrize("size", [32, 64])
def test_different_factors_are_different_images(size: int) -> None:
    forms = np.stack(np.meshgrid(range(3), range(6), range(20), 7, 8, indexing="ij"), -1).reshape(
        -1, 5
    )
    places = np.stack(np.meshgrid(range(3), 0, 0, range(16), range(16), indexing="ij"), -1).reshape(
        -1, 5
    )
    factors = np.unique(np.concatenate([forms, places]), axis=0)
    assert len(np.unique(render_sprites(factors, size).reshape(len(factors), -1), axis=0)) == len(
        factors
    )


def test_an_image_does_not_depend_on_the_batch() -> None:
    images, factors = sprites(300, 32)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(render_sprites(factors[order], 32), images[order])
    np.testing.assert_array_equal(render_sprites(factors[7:8], 32), images[7:8])
    assert render_sprites(factors[:0], 32).shape == (0, 32, 32, 1)


@pytest.mark.parametrize(("rows", "columns", "angle"), [(2, 6, 0), (6, 2, 90)])
def test_measures_of_a_rectangle(rows: int, columns: int, angle: float) -> None:
    image = np.zeros((1, 20, 30), np.uint8)
    image[0, 4 : 4 + rows, 10 : 10 + columns] = 51
    expected = {
        "area": rows * columns / 5,
        "x": 9.5 + columns / 2,
        "y": 3.5 + rows / 2,
        "elongation": math.sqrt(35 / 3),  # the variance of n points in a row is (n * n - 1) / 12
    }
    for images in (image, image[..., None]):
        measured = measure_sprites(images)
        assert angle_between(measured.pop("angle"), angle) < 1e-6
        assert measured == pytest.approx(expected)


def test_the_background_excludes_faint_noise() -> None:
    images, _ = sprites(20, 32)
    noisy = np.maximum(images, np.random.default_rng(0).integers(0, 6, images.shape, np.uint8))
    assert (measure_sprites(noisy)["area"] > measure_sprites(images)["area"] + 5).all()
    for name, values in measure_sprites(noisy, background=5).items():
        np.testing.assert_allclose(values, measure_sprites(images, background=5)[name])


def test_black_images_have_no_position() -> None:
    measured = measure_sprites(np.zeros((2, 32, 32, 1), np.uint8))
    assert measured.pop("area").tolist() == [0, 0]
    assert all(np.isnan(values).all() for values in measured.values())
    assert all(
        values.shape == (0,) for values in measure_sprites(np.zeros((0, 32, 32), np.uint8)).values()
    )


@pytest.mark.parametrize(
    ("factors", "size", "message"),
    [
        ([[0, 0, 0, 0, 0]], 15, "size must be at least 16 pixels, got 15"),
        (
            [[0, 0, 0, 0]],
            32,
            r"must be integers \(N, 5\): shape, scale, .* y; got int64 of shape \(1, 4\)",
        ),
        ([0, 0, 0, 0, 0], 32, r"got int64 of shape \(5,\)"),
        ([[0, 0.5, 0, 0, 0]], 32, r"got float64 of shape \(1, 5\)"),
        ([[0, 6, 0, 0, 0]], 32, "scale must be in 0..5, got 6 to 6"),
        ([[0, 0, 0, 3, 0], [0, 0, 0, -1, 0]], 32, "x must be in 0..15, got -1 to 3"),
    ],
)
def test_invalid_factors_and_sizes(factors: Any, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_sprites(np.array(factors), size)


def test_invalid_counts_and_images() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        sprites(0)
    for shape in ((32, 32), (2, 32, 32, 3)):
        with pytest.raises(
            ValueError, match=r"expected images \(N, H, W, 1\) or \(N, H, W\), got shape \("
        ):
            measure_sprites(np.zeros(shape, np.uint8))
