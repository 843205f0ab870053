"""Frames: indexing, views, splits, fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.frames import Frames, evenly_spaced


def numbered(count: int, episodes: int) -> Frames:
    """Observations that are their own position, from sources of unequal lengths."""
    values = np.arange(count, dtype=np.float32)[:, None]
    sources = [values[:3], values[3:4], values[4:]]
    return Frames(
        spaces.Box(0, 1e9, (1,), np.float32), sources, np.arange(count) * episodes // count
    )


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (10, 5, [1, 3, 5, 7, 9]),
        (10, 2, [2, 7]),
        (9, 1, [4]),
        (3, 8, [0, 1, 2]),
        (3, 0, []),
        (0, 3, []),
    ],
)
def test_evenly_spaced_positions_are_the_middles_of_equal_stretches(
    total: int, count: int, expected: list[int]
) -> None:
    assert evenly_spaced(total, count).tolist() == expected
    assert evenly_spaced(total, count).dtype.kind == "i"


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_batches_join_to_all_observations(size: int) -> None:
    frames = numbered(30, 4).subset(np.arange(12)[::-1])
    batches = list(frames.batches(size))
    np.testing.assert_array_equal(np.concatenate(batches), frames[:])
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert len(batches) == -(-12 // size)
    assert list(frames.subset(np.arange(0)).batches(size)) == []


def test_times_count_within_episodes_of_the_whole_store() -> None:
    episodes = np.array([0, 1, 0, 0, 2, 1, 2, 0])
    frames = Frames(spaces.Box(0, 9, (1,), np.float32), [np.zeros((8, 1))], episodes)
    assert frames.times.tolist() == [0, 0, 1, 2, 0, 1, 1, 3]
    assert frames.subset(np.array([7, 2, 5])).times.tolist() == [3, 1, 1]


def test_previous_observations_are_those_of_the_episode_in_the_whole_store() -> None:
    episodes = np.array([0, 1, 0, 0, 2, 1, 2, 0])
    values = np.arange(8, dtype=np.float32)[:, None]
    space = spaces.Box(0, 9, (1,), np.float32)
    frames = Frames(space, [values[:3], values[3:]], episodes)
    assert frames.previous(np.arange(8))[:, 0].tolist() == [0, 1, 0, 2, 4, 1, 4, 3]
    assert frames.subset(np.array([7, 2, 4])).previous(slice(None))[:, 0].tolist() == [3, 0, 4]
    assert frames.previous(7).tolist() == [3]


def test_bare_observations_are_their_own_predecessors() -> None:
    values = np.arange(5, dtype=np.float32)[:, None]
    frames = lrl.as_frames(values)
    np.testing.assert_array_equal(frames.previous(slice(None)), values)


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
@pytest.mark.parametrize(("episodes", "fraction"), [(2, 0.5), (7, 0.1), (7, 0.4), (100, 0.1)])
def test_split_shares_no_episode(episodes: int, fraction: float, seed: int) -> None:
    frames = numbered(200, episodes)
    training, validation = frames.split(fraction, seed)
    assert not set(training.episodes) & set(validation.episodes)
    assert sorted([*training.indices, *validation.indices]) == list(range(200))
    assert abs(len(set(validation.episodes)) - fraction * episodes) <= 1


def test_split_follows_the_seed() -> None:
    held_out = [numbered(100, 20).split(seed=seed)[1].indices.tolist() for seed in (0, 0, 1)]
    assert held_out[0] == held_out[1] != held_out[2]


def test_one_episode_is_cut_in_time() -> None:
    training, validation = numbered(10, 1).split(0.3)
    assert training.indices.tolist() == list(range(7))
    assert validation.indices.tolist() == [7, 8, 9]
    assert [len(part) for part in numbered(2, 1).split(0.01)] == [1, 1]


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_fraction_is_checked(fraction: float) -> None:
    with pytest.raises(
        ValueError, match=f"validation is a fraction between 0 and 1, got {fraction}"
    ):
        numbered(10, 2).split(fraction)


def test_one_frame_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="training and validation need at least 2 frames, got 1"):
        lrl.as_frames(np.zeros((1, 8))).split()


def test_bare_observations_have_no_records() -> None:
    with pytest.raises(ValueError, match="bare observations: they have no actions or rewards"):
        _ = numbered(10, 2).steps


def test_fingerprints_differ_between_data(images: Any) -> None:
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 1
    prints = [
        lrl.as_frames(array).fingerprint for array in (images, images.copy(), changed, images[:-1])
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_arrays_are_read_as_they_are(images: Any) -> None:
    frames = lrl.as_frames(images)
    assert frames.space == spaces.Box(0, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(frames[:], images)
    assert lrl.as_frames(frames) is frames


def test_one_observation_can_be_opened(images: Any) -> None:
    np.testing.assert_array_equal(lrl.as_frames(images[:1])[0], images[0])


def test_other_types_are_refused(images: Any) -> None:
    with pytest.raises(
        TypeError,
        match=r"expected Frames, a NumPy array, a data frame or a path, got list; try np.asarray",
    ):
        lrl.as_frames(list(images))
    with pytest.raises(TypeError, match=r"got list_iterator; try np.stack\(list\(\.\.\.\)\)"):
        lrl.as_frames(iter(list(images)))


def test_distinct_keeps_the_first_of_equal_observations() -> None:
    values = np.array([[3], [1], [3], [2], [1], [3]], np.float32)
    frames = Frames(spaces.Box(0, 9, (1,), np.float32), [values[:4], values[4:]], np.arange(6) // 2)
    view = frames.subset(np.array([5, 1, 0, 4, 3])).distinct()
    assert view[:].ravel().tolist() == [3, 1, 2]
    assert view.indices.tolist() == [5, 1, 3]
    assert view.distinct().indices.tolist() == [5, 1, 3]


def test_the_episodes_of_an_array_have_any_numbers() -> None:
    images = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((6, 8, 8), np.uint8)
    frames = lrl.as_frames(images, episodes=np.array([-1, -1, -1, 7, 7, 0]))
    assert frames.previous(np.arange(6))[:, 0, 0].tolist() == [0, 0, 1, 3, 3, 5]
    with pytest.raises(ValueError, match=r"one whole number for each of 6 .* int64 of shape \(5,"):
        lrl.as_frames(images, episodes=np.zeros(5, int))
    with pytest.raises(ValueError, match="window cuts one series, which is one episode"):
        lrl.as_frames(np.zeros(50), window=5, episodes=np.zeros(50, int))
