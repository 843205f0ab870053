"""Checks of arrays: which are observations, and which a model can learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.frames import Frames, check_learnable


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize(
    ("shape", "space"),
    [
        ((8,), spaces.Box(-np.inf, np.inf, (8,), np.float32)),
        ((5, 8), spaces.Box(-np.inf, np.inf, (5, 8), np.float32)),
        ((16, 16, 3), spaces.Box(0, 1, (16, 16, 3), np.float32)),
    ],
)
def test_float_arrays_are_vectors_sequences_or_images(
    dtype: Any, shape: tuple[int, ...], space: spaces.Box
) -> None:
    array = np.random.default_rng(0).random((3, *shape)).astype(dtype)
    frames = lrl.as_frames(array)
    keeps = dtype is np.float64 and len(shape) < 3  # images are scaled, and need no more digits
    assert frames.space.dtype == (np.float64 if keeps else np.float32)
    assert frames.space == spaces.Box(
        space.low, space.high, dtype=np.dtype(frames.space.dtype).type
    )
    np.testing.assert_array_equal(frames[:], array.astype(frames.space.dtype))


@pytest.mark.parametrize(("dtype", "high"), [(np.uint8, 255), (np.uint16, 65535)])
@pytest.mark.parametrize("shape", [(16, 24), (16, 24, 1), (16, 24, 3)])
def test_unsigned_arrays_are_images(shape: tuple[int, ...], dtype: Any, high: int) -> None:
    assert lrl.as_frames(np.zeros((3, *shape), dtype)).space == spaces.Box(0, high, shape, dtype)


EXPECTED = (
    r"expected uint8 or uint16 images \(N, H, W\) or \(N, H, W, C\), or floats: vectors \(N, D\), "
    r"sequences \(N, T, D\) or images"
)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 8)), rf"an array of shape \(0, 8\) is empty: {EXPECTED} .*, N >= 1"),
        (np.zeros((5, 0)), r"an array of shape \(5, 0\) is empty"),
        (
            np.zeros(5),
            rf"an array holds float64 of shape \(5,\): {EXPECTED} .*; one long series is cut",
        ),
        (
            np.zeros((2, 2, 2, 2, 2), np.float32),
            r"observations of four axes, \(2, 2, 2, 2, 2\): .* videos .* as_frames\(array.reshape",
        ),
        (np.array(1.0), r"an array holds float64 of shape \(\): "),
        (
            np.zeros(5, int),
            rf"an array holds labels, not observations: {EXPECTED} .*; .* there is read_labels, "
            r"a series is cut from floats: as_frames\(array.astype\(np.float32\), window=LENGTH",
        ),
        (
            np.full((2, 16, 16, 3), 200.0),
            r"must lie in \[0, 1\], those of an array go from 200 to 200; .* uint8; in Python, ",
        ),
        (
            np.full((2, 16, 16, 3), -0.5),
            r"must lie in \[0, 1\], those of an array go from -0.5 to -0.5; for 0..255",
        ),
        (
            np.linspace(-1, 2, 2 * 16 * 16 * 3).reshape(2, 16, 16, 3),
            r"go from -1 to 2; scale them by \(images \+ 1\) / 3; for 0..255 use uint8",
        ),
        (
            np.zeros((2, 16, 16, 3), int),
            rf"int64 of shape \(2, 16, 16, 3\): {EXPECTED} .*: array.astype\(np.uint8\), .* vect",
        ),
        (
            np.zeros((2, 16), np.uint32),
            r"uint32 of shape \(2, 16\): .*vectors: array.astype\(np.float32\)",
        ),
        (
            np.zeros((2, 16), np.uint8),
            r"uint8 of shape \(2, 16\): .*reshape images to \(N, H, W, C\), turn vectors into",
        ),
        (
            np.zeros((2, 16, 16), bool),
            r"bool of shape \(2, 16, 16\): .*images: array.astype\(np.uint8\) \* 255, vectors",
        ),
        (
            np.array([{}, {}]),
            r"object of shape \(2,\): .*; stack observations .* by np.stack\(list\(array\)\)",
        ),
        (
            np.zeros((2, 16, 16), np.dtype(np.uint16).newbyteorder()),
            r"uint16 of the other byte order, >u2: convert it by array.astype\(np.uint16\)",
        ),
        (np.zeros((2, 8), complex), r"complex128 of shape \(2, 8\): .*; convert them to numbers"),
    ],
)
def test_other_arrays_are_refused(array: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.as_frames(array)


def test_masked_values_are_refused_wherever_they_enter() -> None:
    values = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    masked = np.ma.masked_less(values, -1)
    message = rf"{masked.mask.sum()} values are masked; replace them by array.filled"
    with pytest.raises(ValueError, match=f"an array: {message}"):
        lrl.as_frames(masked)
    model = lrl.ae((4,), latent_dim=2)
    with pytest.raises(ValueError, match=f"the observations: {message}"):
        model.encode(masked)
    detector = lrl.AnomalyDetector(lrl.pca((4,), 2), false_alarm_rate=0.1).fit(values)
    with pytest.raises(ValueError, match=f"the observations: {message}"):
        detector.predict(masked)
    np.testing.assert_array_equal(lrl.as_frames(np.ma.masked_array(values))[:], values)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """``check_learnable`` reads three vectors of eight float32 values at a time."""
    monkeypatch.setattr("latentrl.data.frames.CHUNK_BYTES", 3 * 8 * 4)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 2, 3, 9])
def test_the_first_bad_observation_is_named(position: int, value: float) -> None:
    array = np.random.default_rng(0).random((10, 8), np.float32)
    array[position, 5] = array[9, 2] = value
    with pytest.raises(
        ValueError,
        match=rf"contain NaN or infinity, first in observation {position}; repair or drop.*inpaint",
    ):
        check_learnable(lrl.as_frames(array))


def test_bad_images_after_constant_ones_are_found() -> None:
    array = np.zeros((4, 16, 16, 3))
    array[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="first in observation 3"):
        check_learnable(lrl.as_frames(array))


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_constant_observations_are_refused(dtype: Any) -> None:
    array = np.broadcast_to(
        np.arange(48, dtype=dtype).reshape(1, 4, 12) / dtype(1), (10, 4, 12)
    ).astype(dtype)
    with pytest.raises(
        ValueError,
        match="all 10 observations are identical: there is nothing to learn; look at what",
    ):
        check_learnable(lrl.as_frames(array))
    array[9, 0, 0] += 1
    check_learnable(lrl.as_frames(array))


def test_observations_are_read_at_most_once() -> None:
    values = np.random.default_rng(0).random((5000, 8), np.float32)
    read: list[int] = []

    class Recording:
        """The array ``values``, which records the positions that are read."""

        shape, dtype = values.shape, values.dtype

        def __len__(self) -> int:
            return len(values)

        def __getitem__(self, indices: Any) -> Any:
            read.extend(indices)
            return values[indices]

    source: Any = Recording()
    space = spaces.Box(-np.inf, np.inf, (8,), np.float32)
    check_learnable(Frames(space, [source], np.arange(5000)))
    assert read == list(range(5000))


def test_images_are_read_up_to_the_first_that_differs() -> None:
    class Counting:
        """Frames 0, 0, 0, 1, 1, ... that count how many are read."""

        shape, dtype, read = (10**6, 64, 64), np.dtype(np.uint8), 0

        def __len__(self) -> int:
            return self.shape[0]

        def __getitem__(self, indices: Any) -> Any:
            self.read += len(indices)
            return np.broadcast_to(
                np.minimum(indices // 3, 1)[:, None, None], (len(indices), 64, 64)
            )

    source: Any = Counting()
    check_learnable(Frames(spaces.Box(0, 255, (64, 64), np.uint8), [source], np.arange(10**6)))
    assert source.read < 10**4


def test_too_few_observations_are_left_to_split() -> None:
    check_learnable(lrl.as_frames(np.zeros((1, 8))))
