"""Views, splits and fingerprints of frames; what may be frames and what can be learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.frames import Frames, check_learnable


def numbered(count: int, episodes: int) -> Frames:
    """Observations that hold their own number, from sources of unequal lengths."""
    values = np.arange(count, dtype=np.float32)[:, None]
    sources = [values[:3], values[3:4], values[4:]]
    return Frames(
        spaces.Box(0, 1e9, (1,), np.float32), sources, np.arange(count) * episodes // count
    )


@pytest.mark.parametrize(
    "index",
    [0, -1, 5, slice(2, 9), slice(None, None, -2), np.array([11, 0, 3, 3]), np.arange(12) % 3 == 0],
)
def test_indexing_equals_numpy(index: Any) -> None:
    np.testing.assert_array_equal(
        numbered(12, 4)[index], np.arange(12, dtype=np.float32)[:, None][index]
    )


def test_views_of_views() -> None:
    view = numbered(12, 4).subset(np.array([8, 2, 5, 11])).subset(np.array([3, 0]))
    assert view[:].ravel().tolist() == [11, 8]
    assert view.episodes.tolist() == [3, 2]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("episodes", "share"), [(2, 0.5), (7, 0.1), (7, 0.4), (100, 0.1)])
def test_split_shares_no_episode(episodes: int, share: float, seed: int) -> None:
    frames = numbered(200, episodes)
    training, validation = frames.split(share, seed)
    assert not set(training.episodes) & set(validation.episodes)
    assert sorted([*training.indices, *validation.indices]) == list(range(200))
    assert abs(len(set(validation.episodes)) - share * episodes) <= 1


def test_split_follows_the_seed() -> None:
    held_out = [numbered(100, 20).split(seed=seed)[1].indices.tolist() for seed in (0, 0, 1)]
    assert held_out[0] == held_out[1] != held_out[2]


def test_one_episode_is_cut_in_time() -> None:
    training, validation = numbered(10, 1).split(0.3)
    assert training.indices.tolist() == list(range(7))
    assert validation.indices.tolist() == [7, 8, 9]
    assert [len(part) for part in numbered(2, 1).split(0.01)] == [1, 1]


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_share_is_checked(share: float) -> None:
    with pytest.raises(ValueError, match=f"validation is a share between 0 and 1, got {share}"):
        numbered(10, 2).split(share)


def test_one_frame_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="training and validation need at least 2 frames, got 1"):
        lrl.as_frames(np.zeros((1, 8))).split()


def test_bare_observations_have_no_records() -> None:
    with pytest.raises(ValueError, match="bare observations: they have no actions or rewards"):
        _ = numbered(10, 2).steps


def test_fingerprint_tells_data_apart(images: Any) -> None:
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 1
    prints = [
        lrl.as_frames(array).fingerprint for array in (images, images.copy(), changed, images[:-1])
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


# What as_frames makes of arrays


def test_arrays_are_read_as_they_are(images: Any) -> None:
    frames = lrl.as_frames(images)
    assert frames.space == spaces.Box(0, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(frames[:], images)
    assert lrl.as_frames(frames) is frames


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize(
    ("shape", "space"),
    [
        ((8,), spaces.Box(-np.inf, np.inf, (8,), np.float32)),
        ((5, 8), spaces.Box(-np.inf, np.inf, (5, 8), np.float32)),
        ((16, 16, 3), spaces.Box(0, 1, (16, 16, 3), np.float32)),
    ],
)
def test_floats_are_vectors_sequences_or_images(
    dtype: Any, shape: tuple[int, ...], space: spaces.Box
) -> None:
    array = np.random.default_rng(0).random((3, *shape)).astype(dtype)
    frames = lrl.as_frames(array)
    assert frames.space == space
    np.testing.assert_array_equal(frames[:], array.astype(np.float32))


@pytest.mark.parametrize("shape", [(16, 24), (16, 24, 1), (16, 24, 3)])
def test_bytes_are_images(shape: tuple[int, ...]) -> None:
    assert lrl.as_frames(np.zeros((3, *shape), np.uint8)).space == spaces.Box(
        0, 255, shape, np.uint8
    )


def test_one_observation_can_be_opened(images: Any) -> None:
    np.testing.assert_array_equal(lrl.as_frames(images[:1])[0], images[0])


EXPECTED = r"expected uint8 images \(N, H, W\) or \(N, H, W, C\), or floats: vectors \(N, D\), sequences \(N, T, D\) or images"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 8)), rf"an array of shape \(0, 8\) is empty: {EXPECTED} .*, N >= 1"),
        (np.zeros((5, 0)), r"an array of shape \(5, 0\) is empty"),
        (
            np.zeros(5),
            rf"an array holds float64 of shape \(5,\): {EXPECTED} .*; a single observation needs .*array\[None",
        ),
        (
            np.zeros((2, 2, 2, 2, 2), np.float32),
            r"an array holds float32 of shape \(2, 2, 2, 2, 2\): ",
        ),
        (np.array(1.0), r"an array holds float64 of shape \(\): "),
        (
            np.zeros(5, int),
            rf"an array holds labels, not observations: {EXPECTED} .*; for labels there is read_labels",
        ),
        (
            np.full((2, 16, 16, 3), 200.0),
            r"must lie in \[0, 1\], those of an array go from 200 to 200; .* use uint8",
        ),
        (
            np.full((2, 16, 16, 3), -0.5),
            r"float images must lie in \[0, 1\], those of an array go from -0.5 to -0.5",
        ),
        (
            np.zeros((2, 16, 16, 3), int),
            rf"int64 of shape \(2, 16, 16, 3\): {EXPECTED} .*: array.astype\(np.uint8\), vect",
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
            r"object of shape \(2,\): .*; stack observations of one shape by np.stack\(list\(array\)\)",
        ),
        (np.zeros((2, 8), complex), r"complex128 of shape \(2, 8\): .*; convert them to numbers"),
    ],
)
def test_unfit_arrays_are_refused(array: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.as_frames(array)


def test_other_things_are_refused(images: Any) -> None:
    with pytest.raises(
        TypeError, match=r"expected Frames, a NumPy array or a path, got list; try np.asarray"
    ):
        lrl.as_frames(list(images))


# What can be learned from


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``check_learnable`` read three vectors of eight values at a time."""
    monkeypatch.setattr("latentrl.data.frames.CHUNK_BYTES", 3 * 8 * 4)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 2, 3, 9])
def test_the_first_bad_observation_is_named(position: int, value: float) -> None:
    array = np.random.default_rng(0).random((10, 8), np.float32)
    array[position, 5] = array[9, 2] = value
    with pytest.raises(
        ValueError,
        match=rf"contain NaN or infinity, first in observation {position}; repair or drop",
    ):
        check_learnable(lrl.as_frames(array))


def test_bad_images_are_found_behind_constant_ones() -> None:
    array = np.zeros((4, 16, 16, 3))
    array[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="first in observation 3"):
        check_learnable(lrl.as_frames(array))


@pytest.mark.usefixtures("pieces")
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


def test_reading_ends_at_the_first_difference() -> None:
    class Counting:
        """Frames 0, 0, 0, 1, 1, ..., which remember how many were read."""

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


def test_too_few_are_left_to_split() -> None:
    check_learnable(lrl.as_frames(np.zeros((1, 8))))


def test_equal_observations_come_once() -> None:
    values = np.array([[3], [1], [3], [2], [1], [3]], np.float32)
    frames = Frames(spaces.Box(0, 9, (1,), np.float32), [values[:4], values[4:]], np.arange(6) // 2)
    view = frames.subset(np.array([5, 1, 0, 4, 3])).distinct()
    assert view[:].ravel().tolist() == [3, 1, 2]
    assert view.indices.tolist() == [5, 1, 3]
    assert view.distinct().indices.tolist() == [5, 1, 3]
