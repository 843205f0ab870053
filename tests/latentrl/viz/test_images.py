"""Images without text, pixel by pixel."""

from __future__ import annotations

import io
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

import latentrl as lrl
from latentrl.viz import images as viz_images
from latentrl.viz.explorer.networks import image_format
from latentrl.viz.images import GAP, TILE


def tiles_of(canvas: Any, side: int, factor: int) -> Any:
    """Cut a grid back into its tiles at their own size, ``(rows, columns, side, side, 3)``."""
    step = side * factor + GAP
    tiles = [
        [
            canvas[top : top + side * factor : factor, left : left + side * factor : factor]
            for left in lefts
        ]
        for top in range(GAP, canvas.shape[0] - 1, step)
        if (lefts := range(GAP, canvas.shape[1] - 1, step))
    ]
    return np.array(tiles)


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        ([7], [7, 7, 7]),
        ([7, 9], [7, 7, 7]),
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 3, 255], [1, 2, 3]),  # alpha
        ([9, 9, 9, 1, 2, 3], [1, 2, 3]),  # the newest of stacked frames
    ],
)
def test_any_number_of_channels_becomes_rgb(pixel: list[int], expected: list[int]) -> None:
    rgb = viz_images.to_rgb(np.full((2, 4, 5, len(pixel)), pixel, np.uint8))
    assert rgb.dtype == np.uint8
    assert rgb.shape == (2, 4, 5, 3)
    assert (rgb == expected).all()


def test_a_batch_of_grey_images_becomes_rgb() -> None:
    rgb = viz_images.to_rgb(np.full((2, 4, 5), 7, np.uint8))
    assert rgb.shape == (2, 4, 5, 3)
    assert (rgb == 7).all()


def test_one_image_is_no_batch() -> None:
    with pytest.raises(ValueError, match=r"images \(B, H, W\) or .* got shape \(4, 5\)"):
        viz_images.to_rgb(np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_values_are_scaled_from_their_range(low: float, high: float) -> None:
    images = np.full((1, 4, 4, 3), [low, (low + high) / 2, high + 5], np.float32)
    assert (viz_images.to_rgb(images, low, high) == [0, 128, 255]).all()


def test_model_images_are_scaled_from_the_range_of_the_model() -> None:
    space = gym.spaces.Box(-1, 1, (16, 16, 1), np.float32)
    images = np.linspace(-1, 1, 512, dtype=np.float32).reshape(2, 16, 16, 1)
    rgb = viz_images.model_images(lrl.ae(space, 4), images)
    np.testing.assert_array_equal(rgb, viz_images.to_rgb(images, -1, 1))


def test_grid_keeps_every_pixel(images: Any) -> None:
    canvas = viz_images.grid([list(images[:3]), list(images[3:6])])
    factor = TILE // 32
    assert canvas.shape == (2 * (96 + GAP) + GAP, 3 * (96 + GAP) + GAP, 3)
    np.testing.assert_array_equal(tiles_of(canvas, 32, factor), images[:6].reshape(2, 3, 32, 32, 3))
    assert (canvas[:GAP] == 255).all()


def test_short_rows_leave_white(images: Any) -> None:
    canvas = viz_images.grid([list(images[:2]), [images[2]]])
    assert (tiles_of(canvas, 32, 3)[1, 1] == 255).all()


def test_observations_reconstructions_and_differences(fitted: lrl.Autoencoder, images: Any) -> None:
    rows = viz_images.with_difference(fitted, images[:4])
    restored = fitted.reconstruct(images[:4])
    np.testing.assert_array_equal(rows[:2], [images[:4], restored])
    difference = np.abs(images[:4].astype(int) - restored).max(-1)
    np.testing.assert_array_equal(rows[2], viz_images.colormap(difference, 0, 128))


def test_a_difference_has_the_channels_that_are_not_shown() -> None:
    model = lrl.ae((16, 16, 4), 2)
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 4), np.uint8)
    restored = model.reconstruct(frames).astype(int)
    rows = viz_images.with_difference(model, frames)
    np.testing.assert_array_equal(rows[0], frames[..., :3])
    largest = np.abs(frames - restored).max(-1)
    assert (largest > np.abs(frames - restored)[..., :3].max(-1)).any()
    np.testing.assert_array_equal(rows[2], viz_images.colormap(largest, 0, 128))


def test_reconstructions_compare_with_preprocessed_observations(images: Any) -> None:
    model = lrl.ae(
        (32, 32, 3),
        4,
        preprocessing=lrl.Preprocessing(crop=(0, 0, 8, 8), size=(24, 24), greyscale=True),
    )
    observed, _, _ = viz_images.with_difference(model, images[:2])
    grey = model.preprocessed(images[:2])
    assert observed.shape == (2, 48, 24, 3), "of frames of 32 x 16 pixels"
    np.testing.assert_array_equal(observed[:, [0, -1]], grey.repeat(3, axis=-1)[:, [0, -1]])


@pytest.mark.parametrize(
    ("frame", "crop", "size", "shown"),
    [
        ((48, 64, 3), (0, 0, 0, 0), (32, 32), (32, 43)),
        ((60, 20, 1), (0, 0, 0, 0), (32, 32), (96, 32)),
        ((60, 20), (0, 40, 0, 0), (24, 24), (24, 24)),  # a square is left
        ((40, 40, 3), (20, 0, 0, 0), (16, 24), (16, 32)),
        ((48, 64, 3), (0, 0, 0, 0), (24, 32), (24, 32)),
        ((48, 64, 3), (0, 0, 0, 0), None, (48, 64)),
    ],
)
def test_images_have_the_aspect_ratio_of_the_cropped_frames(
    frame: tuple[int, ...], crop: Any, size: Any, shown: tuple[int, int]
) -> None:
    model = lrl.ae(frame, 2, preprocessing=lrl.Preprocessing(crop=crop, size=size))
    frames = np.random.default_rng(0).integers(0, 256, (2, *frame), np.uint8)
    decoded = model.reconstruct(frames)
    assert viz_images.model_images(model, decoded).shape == (2, *shown, 3)
    assert {rows.shape for rows in viz_images.with_difference(model, frames)} == {(2, *shown, 3)}
    if shown == model.preprocess.shape[1:]:
        exact = viz_images.network_images(model, decoded)
        np.testing.assert_array_equal(viz_images.model_images(model, decoded), exact)
    whole = viz_images.model_images(model, frames)
    assert whole.shape == (2, *frame[:2], 3), "images at the frames' own size stay"


@pytest.mark.parametrize("dimensions", [1, 3])
def test_traversal_gif_moves_forth_and_back(
    dimensions: int, fitted: lrl.Autoencoder, images: Any
) -> None:
    movie = Image.open(io.BytesIO(viz_images.traversal_gif(fitted, images[0], dimensions, steps=4)))
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
        np.asarray(Image.open(io.BytesIO(viz_images.png(images[0])))), images[0]
    )


def test_rows_of_a_comparison_have_the_size_of_the_first(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    canvas = viz_images.comparison(
        fitted, images[:3], images[:3, ::2, ::2], images[:3].repeat(2, 1).repeat(2, 2)
    )
    tiles = tiles_of(canvas, 32, 3)
    np.testing.assert_array_equal(tiles[0], images[:3])
    np.testing.assert_array_equal(tiles[1], images[:3, ::2, ::2].repeat(2, 1).repeat(2, 2))
    np.testing.assert_array_equal(tiles[2], images[:3])


def test_comparison_of_grey_images_without_channel_axis() -> None:
    model = lrl.ae((16, 16), 4)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16), np.uint8)
    tiles = tiles_of(viz_images.comparison(model, images, model.reconstruct(images)), 16, 6)
    np.testing.assert_array_equal(tiles[0], images[..., None].repeat(3, -1))


def test_colormap_grows_brighter_from_low_to_high() -> None:
    ramp = np.linspace(-3, 5, 256).reshape(16, 16)
    colours = viz_images.colormap(ramp)
    assert colours.dtype == np.uint8
    light = cv2.cvtColor(colours, cv2.COLOR_RGB2Lab)[..., 0].astype(int).ravel()
    assert (np.diff(light) >= -1).all()
    assert light[0] < 5
    assert light[-1] > 240
    assert colours[-1, -1, 0] > colours[-1, -1, 2]  # yellow, not its mirror image in BGR
    np.testing.assert_array_equal(
        viz_images.colormap(ramp, 5, 9), np.broadcast_to(colours[0, 0], (16, 16, 3))
    )
    np.testing.assert_array_equal(
        viz_images.colormap(np.ones((2, 4, 4))), np.broadcast_to(colours[0, 0], (2, 4, 4, 3))
    )


def test_anomaly_maps_are_below_on_one_scale(fitted: lrl.Autoencoder, images: Any) -> None:
    detector = lrl.AnomalyDetector(fitted)
    tiles = tiles_of(viz_images.anomalies(detector, images[:4]), 32, 3)
    np.testing.assert_array_equal(
        tiles, [images[:4], viz_images.colormap(detector.map(images[:4]))]
    )


def test_tiles_are_enlarged_by_their_longer_side() -> None:
    assert viz_images.enlarge(np.zeros((8, 8, 3))).shape == (96, 96, 3)
    assert viz_images.enlarge(np.zeros((16, 64, 3))).shape == (32, 128, 3)
    assert viz_images.enlarge(np.zeros((210, 160, 3))).shape == (210, 160, 3)


def test_representative_latent_has_the_median_distance_from_the_mean(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    chosen = viz_images.representative_index(fitted, images[:21])
    std = fitted.latent_std.numpy() + 1e-6
    scores = (fitted.encode(images[:21]) - fitted.latent_mean.numpy()) / std
    distances = np.square(scores).sum(1)
    assert (distances < distances[chosen]).sum() == 10


def test_boolean_images_are_black_and_white() -> None:
    space = gym.spaces.Box(0, 1, (16, 16, 3), bool)
    model = lrl.pca(space, latent_dim=2)
    images = np.random.default_rng(0).random((6, 16, 16, 3)) < 0.5
    np.testing.assert_array_equal(viz_images.model_images(model, images), images * np.uint8(255))
    assert image_format(model)["levels"] == [0, 0, 0]
