"""Pictures show what they say, pixel by pixel."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import latentrl as lrl
from latentrl.viz import images as pictures
from latentrl.viz.images import GAP, TILE


def unlay(picture: Any, side: int, factor: int) -> Any:
    """Cut a grid back into its tiles at their own size, ``(rows, columns, side, side, 3)``."""
    step = side * factor + GAP
    tiles = [
        [
            picture[top : top + side * factor : factor, left : left + side * factor : factor]
            for left in lefts
        ]
        for top in range(GAP, picture.shape[0] - 1, step)
        if (lefts := range(GAP, picture.shape[1] - 1, step))
    ]
    return np.array(tiles)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((4, 4), 7, np.uint8), [7, 7, 7]),
        (np.full((4, 4, 1), 7, np.uint8), [7, 7, 7]),
        (np.full((4, 4, 2), 7, np.uint8), [7, 7, 7]),
        (np.full((4, 4, 3), [1, 2, 3], np.uint8), [1, 2, 3]),
        (
            np.full((4, 4, 6), [9, 9, 9, 1, 2, 3], np.uint8),
            [1, 2, 3],
        ),  # the newest of stacked frames
        (np.full((4, 4, 4), [1, 2, 3, 255], np.uint8), [1, 2, 3]),
    ],
)
def test_all_observations_become_rgb(image: Any, expected: list[int]) -> None:
    rgb = pictures.to_rgb(image)
    assert rgb.dtype == np.uint8
    assert (rgb == expected).all()
    assert rgb.shape == (4, 4, 3)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_values_are_scaled_from_their_range(low: float, high: float) -> None:
    image = np.full((4, 4, 3), [low, (low + high) / 2, high + 5], np.float32)
    assert (pictures.to_rgb(image, low, high) == [0, 128, 255]).all()


def test_grid_keeps_every_pixel(images: Any) -> None:
    picture = pictures.grid([list(images[:3]), list(images[3:6])])
    factor = TILE // 32
    assert picture.shape == (2 * (96 + GAP) + GAP, 3 * (96 + GAP) + GAP, 3)
    np.testing.assert_array_equal(unlay(picture, 32, factor), images[:6].reshape(2, 3, 32, 32, 3))
    assert (picture[:GAP] == 255).all()


def test_short_rows_leave_white(images: Any) -> None:
    picture = pictures.grid([list(images[:2]), [images[2]]])
    assert (unlay(picture, 32, 3)[1, 1] == 255).all()


def test_reconstructions_are_below_their_observations(fitted: lrl.Autoencoder, images: Any) -> None:
    tiles = unlay(pictures.reconstructions(fitted, images[:4]), 32, 3)
    np.testing.assert_array_equal(tiles, [images[:4], fitted.reconstruct(images[:4])])


def test_observations_are_shown_as_the_network_sees_them(images: Any) -> None:
    model = lrl.ae(
        (32, 32, 3),
        4,
        preprocessing=lrl.Preprocessing(crop=(0, 0, 8, 8), size=(24, 24), greyscale=True),
    )
    tiles = unlay(pictures.reconstructions(model, images[:2]), 24, 4)
    np.testing.assert_array_equal(tiles[0], model.preprocessed(images[:2]).repeat(3, axis=-1))


def test_traversal_has_a_row_for_each_dimension(fitted: lrl.Autoencoder, images: Any) -> None:
    tiles = unlay(pictures.traversal(fitted, images[0], dimensions=3, steps=5), 32, 3)
    np.testing.assert_array_equal(tiles, lrl.traverse(fitted, images[0], 3, 5))


@pytest.mark.parametrize("dimensions", [1, 3])
def test_gif_sways_to_and_fro(dimensions: int, fitted: lrl.Autoencoder, images: Any) -> None:
    movie = Image.open(io.BytesIO(pictures.traversal_gif(fitted, images[0], dimensions, steps=4)))
    assert movie.n_frames == 6
    assert movie.info["duration"] == 100
    assert movie.info["loop"] == 0
    shown = []
    for position in range(6):
        movie.seek(position)
        shown.append(np.asarray(movie.convert("RGB")).astype(int))
    assert np.abs(shown[1] - shown[5]).mean() < 3  # a palette of 256 colours
    assert np.abs(shown[0] - shown[3]).mean() > np.abs(shown[0] - shown[1]).mean()


def test_png_is_lossless(images: Any) -> None:
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(pictures.png(images[0])))), images[0]
    )


def test_rows_of_a_comparison_have_the_size_of_the_first(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    picture = pictures.comparison(
        fitted, images[:3], images[:3, ::2, ::2], images[:3].repeat(2, 1).repeat(2, 2)
    )
    tiles = unlay(picture, 32, 3)
    np.testing.assert_array_equal(tiles[0], images[:3])
    np.testing.assert_array_equal(tiles[1], images[:3, ::2, ::2].repeat(2, 1).repeat(2, 2))
    np.testing.assert_array_equal(tiles[2], images[:3])


def test_a_comparison_shows_grey_and_flat_images() -> None:
    model = lrl.ae((16, 16), 4)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16), np.uint8)
    tiles = unlay(pictures.comparison(model, images, model.reconstruct(images)), 16, 6)
    np.testing.assert_array_equal(tiles[0], images[..., None].repeat(3, -1))


def test_heat_grows_brighter_from_low_to_high() -> None:
    ramp = np.linspace(-3, 5, 256).reshape(16, 16)
    colours = pictures.heat(ramp)
    assert colours.dtype == np.uint8
    light = cv2.cvtColor(colours, cv2.COLOR_RGB2Lab)[..., 0].astype(int).ravel()
    assert (np.diff(light) >= -1).all()
    assert light[0] < 5
    assert light[-1] > 240
    assert colours[-1, -1, 0] > colours[-1, -1, 2]  # yellow, not its mirror image in BGR
    np.testing.assert_array_equal(
        pictures.heat(ramp, 5, 9), np.broadcast_to(colours[0, 0], (16, 16, 3))
    )
    np.testing.assert_array_equal(
        pictures.heat(np.ones((2, 4, 4))), np.broadcast_to(colours[0, 0], (2, 4, 4, 3))
    )


def test_maps_of_anomalies_are_below_on_one_scale(fitted: lrl.Autoencoder, images: Any) -> None:
    detector = lrl.AnomalyDetector(fitted)
    tiles = unlay(pictures.anomalies(detector, images[:4]), 32, 3)
    np.testing.assert_array_equal(tiles, [images[:4], pictures.heat(detector.map(images[:4]))])


def test_manifold_is_laid_out_as_decoded(fitted: lrl.Autoencoder) -> None:
    tiles = unlay(pictures.manifold_picture(fitted, 4, (1, 0)), 32, 3)
    np.testing.assert_array_equal(tiles, lrl.manifold(fitted, 4, (1, 0)))
