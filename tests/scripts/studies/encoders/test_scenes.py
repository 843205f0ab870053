"""Random scenes: reproducible, small motions, all kinds of backgrounds."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.studies.encoders.scenes import BACKGROUNDS, GREY, SIDE, draw_background, scene


def test_a_seed_gives_one_scene() -> None:
    first, second, other = (scene(np.random.default_rng(seed), 2) for seed in (1, 1, 2))
    assert first[0].shape == first[1].shape == (2, SIDE, SIDE, 3)
    assert first[0].dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_step_changes_less_than_another_moment() -> None:
    rng = np.random.default_rng(0)
    step, moment = [], []
    for _ in range(30):
        frames, before = (images.astype(float) for images in scene(rng, 4))
        step.append(np.abs(frames - before).mean())
        moment.append(np.abs(frames - np.roll(frames, 1, 0)).mean())
    assert 0 < np.mean(step) < np.mean(moment)


def test_some_scenes_are_grey() -> None:
    rng = np.random.default_rng(0)
    grey = [np.ptp(scene(rng, 1)[0], axis=-1).max() == 0 for _ in range(10 * GREY)]
    assert 0 < np.mean(grey) < 0.3


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_backgrounds_fill_their_size(background) -> None:
    drawn = background(np.random.default_rng(0), 90)
    assert drawn.shape == (90, 90, 3)
    assert drawn.dtype == np.uint8
    assert draw_background(np.random.default_rng(1), 70).shape == (70, 70, 3)
