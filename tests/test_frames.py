"""Frames from arrays, files and folders; splits and fingerprints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

import latentrl as lrl
from latentrl.frames import Frames


def numbered(count: int, episodes: int) -> Frames:
    """Observations that hold their own number, from sources of unequal lengths."""
    values = np.arange(count, dtype=np.float32)[:, None]
    sources = [values[:3], values[3:4], values[4:]]
    return Frames(spaces.Box(0, 1e9, (1,), np.float32), sources, np.arange(count) * episodes // count)


@pytest.mark.parametrize(
    "index", [0, -1, 5, slice(2, 9), slice(None, None, -2), np.array([11, 0, 3, 3]), np.arange(12) % 3 == 0]
)
def test_indexing_equals_numpy(index: Any) -> None:
    np.testing.assert_array_equal(numbered(12, 4)[index], np.arange(12, dtype=np.float32)[:, None][index])


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
    prints = [lrl.as_frames(array).fingerprint for array in (images, images.copy(), changed, images[:-1])]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("kind", ["array", "npy", "npz", "folder"])
def test_reads_images(kind: str, images: Any, tmp_path: Path) -> None:
    images = images[:5]
    source: Any = images
    if kind == "npy":
        np.save(source := tmp_path / "frames.npy", images)
    if kind == "npz":
        np.savez(source := tmp_path / "frames.npz", observations=images, rewards=np.zeros(5))
    if kind == "folder":
        source = tmp_path
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{number}.png")
    frames = lrl.as_frames(source)
    assert frames.space == spaces.Box(0, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(frames[:], images)
    np.testing.assert_array_equal(lrl.as_frames(str(source) if kind != "array" else frames)[2], images[2])


def test_only_array_of_an_archive_needs_no_name(vectors: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", vectors)
    np.testing.assert_array_equal(lrl.as_frames(tmp_path / "one.npz")[:], vectors)


def test_images_of_other_sizes_are_resized(images: Any, tmp_path: Path) -> None:
    Image.fromarray(images[0]).save(tmp_path / "0.png")
    large = cv2.resize(images[1], (64, 96), interpolation=cv2.INTER_NEAREST)
    Image.fromarray(large).save(tmp_path / "1.PNG")
    Image.fromarray(images[2, :, :, 0]).save(tmp_path / "2.png")
    frames = lrl.as_frames(tmp_path)[:]
    np.testing.assert_array_equal(frames[0], images[0])
    assert np.abs(frames[1].astype(int) - images[1]).max() <= 1  # the mean of equal pixels
    np.testing.assert_array_equal(frames[2], images[2, :, :, :1].repeat(3, axis=-1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_float32(dtype: Any) -> None:
    assert lrl.as_frames(np.zeros((3, 8), dtype)).space == spaces.Box(-np.inf, np.inf, (8,), np.float32)
    assert lrl.as_frames(np.zeros((3, 16, 16, 3), dtype)).space == spaces.Box(0, 1, (16, 16, 3), np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 8)), r"an array of shape \(0, 8\) holds no observations; expected \(N, \*shape\), N >= 1"),
        (np.zeros(5), r"an array of shape \(5,\) holds no observations"),
        (np.array(1.0), r"an array of shape \(\) holds no observations"),
        (np.full((2, 16, 16, 3), 200.0), r"float images must lie in \[0, 1\]; for 0..255 use uint8"),
        (np.zeros((2, 16, 16, 3), int), r"expected uint8 images or float vectors, got int64 of shape \(2, 16, 16, 3\)"),
    ],
)
def test_unfit_arrays_are_refused(array: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrl.as_frames(array)


def test_unfit_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no frames at .*nowhere: expected a store, a folder of images"):
        lrl.as_frames(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds neither a frame store nor images \(\.png, "):
        lrl.as_frames(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"film.mp4 is not a kind of file that holds frames; known: \.npy, "):
        lrl.as_frames(tmp_path / "film.mp4")
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 8)), b=np.zeros((2, 8)))
    with pytest.raises(ValueError, match=r"two.npz holds a, b; name the one to use 'observations'"):
        lrl.as_frames(tmp_path / "two.npz")


def test_damaged_image_is_named(images: Any, tmp_path: Path) -> None:
    Image.fromarray(images[0]).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"1.png cannot be read as an image"):
        lrl.as_frames(tmp_path)[:]


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        lrl.as_frames(tmp_path / "objects.npy")
