"""Images of what is kept and lost: which frames they show, and where the outline is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import latentrl as lrl
from latentrl.viz.captions import BACKGROUND
from latentrl.viz.images import GAP, TILE
from latentrl.viz.quality import MARGIN, OUTLINE, lost_details, varied_frames, varied_index


def test_the_worst_frame_comes_first_and_then_the_farthest() -> None:
    latents = np.array([[0.0], [1.0], [9.0], [10.0]])
    assert varied_index(latents, np.array([1.0, 5.0, 1.0, 1.0]), 2).tolist() == [1, 3]


def test_every_second_frame_is_chosen_by_distance_times_error() -> None:
    latents = np.array([[0.0], [4.0], [5.0], [10.0]])
    errors = np.array([9.0, 7.0, 1.0, 1.0])
    # The farthest from 0 is 10; of the rest, 4 is at distance 4 with error 7, 5 at 5 with error 1.
    assert varied_index(latents, errors, 3).tolist() == [0, 3, 1]
    assert varied_index(latents, errors[::-1].copy(), 4).tolist()[:2] == [3, 0]


@pytest.mark.parametrize("latents", [np.zeros((5, 2)), np.arange(10.0).reshape(5, 2)])
def test_no_frame_is_chosen_twice(latents: Any) -> None:
    errors = np.zeros(5)
    assert sorted(varied_index(latents, errors, 8)) == [0, 1, 2, 3, 4]


def test_the_outline_is_around_the_detail_that_is_lost(fitted: lrl.Autoencoder) -> None:
    images = np.zeros((9, 32, 32, 3), np.uint8)
    images[1, 20:23, 8:11] = 255  # too small for a model of squares of 10 pixels
    drawn = lost_details(fitted, lrl.as_frames(images), count=2)
    above = drawn.shape[0] - (3 * TILE + 4 * GAP)
    text, image = drawn[:above], drawn[above:]
    assert (text == BACKGROUND).all(-1).mean() > 0.5, "two lines of text"
    factor, tile = TILE // 32, image[GAP : GAP + TILE, GAP : GAP + TILE]
    frame = tile[::factor, ::factor]
    assert (frame[20:23, 8:11] == 255).all()
    outline = np.argwhere((frame == OUTLINE).all(-1))
    low, high = outline.min(0), outline.max(0)
    assert (high - low == 2 + 2 * MARGIN).all(), "a window of 3 pixels, with a margin"
    assert (low < [20, 8]).all()
    assert (high > [22, 10]).all()


def test_the_outline_keeps_its_place_in_wide_frames() -> None:
    preprocessing = lrl.Preprocessing(size=(32, 32))
    model = lrl.ae((32, 96, 3), 2, backbone={"name": "mlp"}, preprocessing=preprocessing)
    images = np.zeros((9, 32, 96, 3), np.uint8)
    images[3, 20:23, 60:69] = 255
    drawn = lost_details(model, lrl.as_frames(images), count=2)
    image = drawn[drawn.shape[0] - (3 * 32 + 4 * GAP) :]
    assert image.shape[1] == 2 * 96 + 3 * GAP
    outline = np.argwhere((image[GAP : GAP + 32, GAP : GAP + 96] == OUTLINE).all(-1))
    low, high = outline.min(0), outline.max(0)
    assert (high - low).tolist() == [2 + 2 * MARGIN, 8 + 2 * MARGIN], "a window of 3 x 9 pixels"
    assert (low < [22, 68]).all()
    assert (high > [20, 60]).all()


def test_varied_frames_are_observations(fitted: lrl.Autoencoder, images: Any) -> None:
    frames = varied_frames(fitted, lrl.as_frames(images), 5)
    assert frames.shape == (5, 32, 32, 3)
    assert len({frame.tobytes() for frame in frames}) == 5
    assert {frame.tobytes() for frame in frames} <= {image.tobytes() for image in images}
