"""Images against the bounds of their space: in ``fit`` and wherever a model takes arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.bounds import fraction_outside
from latentrl.data.frames import Frames, check_learnable

RNG = np.random.default_rng(0)


def box(high: Any = 1.0, dtype: Any = np.float32) -> spaces.Box:
    top = np.broadcast_to(np.array(high, dtype), (16, 16, 2))
    return spaces.Box(np.zeros((16, 16, 2), dtype), top, dtype=dtype)


def images(count: int, high: float = 1.0) -> Any:
    return RNG.uniform(0, high, (count, 16, 16, 2)).astype(np.float32)


def stored(array: Any, space: spaces.Box) -> Frames:
    return Frames(space, [array], np.arange(len(array)))


def test_the_fraction_is_that_of_the_channel_that_leaves_its_bounds_furthest() -> None:
    batch = np.zeros((3, 16, 16, 2))
    batch[1, 3, 4] = [11, 101]
    batch[2, 0, 0] = [-1, 0]
    space = box([10, 100])
    np.testing.assert_allclose(fraction_outside(batch, space), [0, 0.1, 0.1])
    assert fraction_outside(batch[:0], space).shape == (0,)


@pytest.mark.parametrize("position", [0, 5, 11])
def test_fit_refuses_frames_outside_their_bounds(position: int) -> None:
    array = images(12)
    array[position:, 2, 3, 1] = 7
    model = lrl.ae(box(), latent_dim=2)
    with pytest.raises(
        ValueError, match=rf"from observation {position} on go from .* to 7 in channel 1, .* 0 to 1"
    ):
        lrl.fit(model, stored(array, box()), progress=False)
    with pytest.raises(ValueError, match=rf"from observation {position} on go from"):
        lrl.fit(model, array, progress=False)


def test_integers_are_compared_where_their_space_is_narrower_than_their_type() -> None:
    array = RNG.integers(0, 2, (12, 16, 16, 2), dtype=np.uint8)
    check_learnable(stored(array, box(1, np.uint8)), box(1, np.uint8))
    array[9] = 255
    with pytest.raises(ValueError, match="from observation 9 on go from 0 to 255 in"):
        check_learnable(stored(array, box(1, np.uint8)), box(1, np.uint8))


def test_fit_takes_what_rounding_puts_outside() -> None:
    array = images(12)
    array[3, 0, 0, 0] = 1.000001
    check_learnable(stored(array, box()), box())


def test_arrays_have_the_bounds_of_the_model_that_is_fitted() -> None:
    model = lrl.pca(box([255, 10]), latent_dim=2)
    array = images(20) * np.float32([255, 10])
    lrl.fit(model, array, lrl.FitConfig(device="cpu"), progress=False)
    assert lrl.as_frames(array, space=box([255, 10])).space == box([255, 10])


@pytest.mark.parametrize("encode", ["encode", "reconstruct", "pixel_nll"])
def test_models_clip_what_leaves_the_bounds_by_rounding(encode: str) -> None:
    model = lrl.ae(box([10, 1]), latent_dim=2)
    array = images(3)
    expected = getattr(model, encode)(np.clip(array, 0, [10, 1]).astype(np.float32))
    array[array == array.max()] = 1  # of channel 1
    slightly = array.copy()
    slightly[0, 0, 0, 1] = 1.0005
    with pytest.warns(UserWarning, match=r"go from .* to 1.0005 in channel 1.*: they are clipped"):
        result = getattr(model, encode)(slightly)
    assert result.shape == expected.shape
    array[0, 0, 0, 1] = 1
    np.testing.assert_array_equal(result, getattr(model, encode)(array))


def test_models_refuse_what_leaves_the_bounds_of_its_channel() -> None:
    model = lrl.ae(box([10, 1]), latent_dim=2)
    array = images(3, high=10)  # within the bounds of channel 0 alone
    with pytest.raises(ValueError, match=r"in channel 1, their space declares 0 to 1: scale them"):
        model.encode(array)
    with pytest.raises(ValueError, match=r"in channel 1, their space declares 0 to 1: scale them"):
        model.encode(array[0])


def test_infinite_bounds_are_never_left() -> None:
    space = spaces.Box(-np.inf, np.inf, (16, 16, 1), np.float32)
    assert fraction_outside(np.full((2, 16, 16, 1), 1e30), space).max() == 0
