"""Long series cut into windows, from arrays and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentrl as lrl
from latentrl.data.series import cut_series

SERIES = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (7, 1), (7, 3), (10, 10), (50, 4)])
def test_windows_are_slices_of_the_series(window: int, stride: int) -> None:
    frames = lrl.as_frames(SERIES, window=window, stride=stride)
    starts = range(0, 50 - window + 1, stride)
    expected = np.stack([SERIES[start : start + window] for start in starts])
    np.testing.assert_array_equal(frames[:], expected)
    assert frames.space.shape == (window, 3)
    assert not np.isfinite(frames.space.high).any(), "a sequence, not an image"


def test_windows_copy_nothing() -> None:
    assert np.shares_memory(cut_series(SERIES, 10, 1, "an array"), SERIES)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.int64, np.bool_])
def test_a_series_of_one_value_per_step_has_a_last_axis_of_1(dtype: Any) -> None:
    series = (10 * np.abs(SERIES[:, 0])).astype(dtype)
    frames = lrl.as_frames(series, window=8)
    assert frames.space.dtype == (np.float64 if dtype in (np.float64, np.int64) else np.float32)
    np.testing.assert_array_equal(frames[5], series[5:13, None].astype(float))


def test_overlapping_windows_are_one_episode() -> None:
    training, validation = lrl.as_frames(SERIES, window=5).split()
    assert training.indices.max() < validation.indices.min()


def test_files_are_cut_too(tmp_path: Path) -> None:
    np.save(tmp_path / "series.npy", SERIES[:, 0])
    np.savez(tmp_path / "two.npz", a=SERIES, b=SERIES[:, 0])
    for frames in (
        lrl.as_frames(tmp_path / "series.npy", window=6),
        lrl.as_frames(tmp_path / "two.npz", array="b", window=6),
    ):
        np.testing.assert_array_equal(frames[2], SERIES[2:8, :1])
        assert frames.metadata["window"] == 6


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        (SERIES, {"window": 0}, "window and stride are at least 1, got 0 and 1"),
        (SERIES, {"window": 5, "stride": -1}, "window and stride are at least 1, got 5 and -1"),
        (SERIES, {"window": 51}, "a window of 51 steps is longer than an array, which has 50"),
        (SERIES[None], {"window": 5}, r"\(N,\) or \(N, D\); .* of shape \(1, 50, 3\): omit the"),
        (np.array(["a"] * 9), {"window": 5}, r"one series of numbers, .* holds <U1"),
        (np.array(3.0, np.float32), {"window": 1}, r"holds float32 of shape \(\)"),
        (np.ma.masked_less(SERIES, 0), {"window": 5}, "an array: .* values are masked"),
    ],
)
def test_other_arrays_are_refused(series: Any, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.as_frames(series, **options)


def test_stores_and_images_are_not_cut(tmp_path: Path, images: Any) -> None:
    with pytest.raises(ValueError, match="array, window and episodes are for arrays and files"):
        lrl.as_frames(lrl.as_frames(SERIES), window=5)
    from PIL import Image

    Image.fromarray(images[0]).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="a window cuts one series of numbers"):
        lrl.as_frames(tmp_path, window=5)
