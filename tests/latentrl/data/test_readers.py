"""Observations and labels at a path: each kind of source, each kind of label."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.readers import open_source, read_labels
from tests.latentrl.data.writers import WRITERS, idx, save_image, write


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_source_returns_what_was_written(
    kind: str, images: Any, tmp_path: Path
) -> None:
    path = WRITERS[kind](tmp_path, images[:5])
    frames = lrl.as_frames(path)
    assert frames.space == spaces.Box(0, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(frames[:], images[:5])
    np.testing.assert_array_equal(frames[np.array([4, 0, 4])], images[[4, 0, 4]])
    np.testing.assert_array_equal(lrl.as_frames(str(path))[2], images[2])


def test_missing_paths_are_named(tmp_path: Path) -> None:
    for read in (open_source, read_labels, lrl.as_frames):
        for name in ("nowhere", "nowhere.npz", "nowhere.png"):
            with pytest.raises(
                FileNotFoundError,
                match=rf"nothing at .*{name}: expected a store, an image, a folder",
            ):
                read(tmp_path / name)


@pytest.mark.parametrize("name", ["labels", "factors"])
@pytest.mark.parametrize("kind", ["idx", "gz", "npy", "npz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_labels_are_read(kind: str, name: str, dtype: Any, tmp_path: Path) -> None:
    labels = (
        np.random.default_rng(0).integers(0, 10, (20, 3) if name == "factors" else 20).astype(dtype)
    )
    path = tmp_path / f"data.{kind}"
    if kind == "npy":
        np.save(path, labels)
    elif kind == "npz":
        np.savez(path, observations=np.zeros((20, 8)), **{name: labels})
    else:
        write(path, gzip.compress(idx(labels), mtime=0) if kind == "gz" else idx(labels))
    read = read_labels(path)
    assert read is not None
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, labels)


def test_factors_have_precedence_over_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", labels=np.zeros(3, int), factors=np.ones((3, 2), int))
    np.testing.assert_array_equal(read_labels(tmp_path / "both.npz"), np.ones((3, 2)))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_labels_lie_beside_images_under_the_names_of_mnist(suffix: str, tmp_path: Path) -> None:
    pack = gzip.compress if suffix else bytes
    images = write(
        tmp_path / f"t10k-images-idx3-ubyte{suffix}", pack(idx(np.zeros((4, 8, 8), np.uint8)))
    )
    assert read_labels(images) is None
    write(tmp_path / f"t10k-labels-idx1-ubyte{suffix}", pack(idx(np.arange(4, dtype=np.uint8))))
    np.testing.assert_array_equal(read_labels(images), range(4))


def test_classes_of_folders_are_numbered_by_name(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/x/9.png", "dog/0.png", "Ape/5.png"):
        save_image(tmp_path / name, np.full((16, 16), ord(name[0]), np.uint8))
    labels = read_labels(tmp_path)
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2, 2]
    assert lrl.as_frames(tmp_path)[:][:, 0, 0].tolist() == [ord("A"), ord("c"), ord("d"), ord("d")]


@pytest.mark.parametrize("kind", WRITERS)
def test_observations_without_labels_have_none(kind: str, images: Any, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, images[:5])
    assert read_labels(str(path)) is None
    np.save(tmp_path / "vectors.npy", np.zeros((5, 8)))
    assert read_labels(tmp_path / "vectors.npy") is None


def test_images_without_classes_have_none(images: Any, tmp_path: Path) -> None:
    assert read_labels(save_image(tmp_path / "only/0.png", images[0])) is None
    assert read_labels(tmp_path) is None


def test_images_beside_class_folders_are_refused(images: Any, tmp_path: Path) -> None:
    for name in ("0.png", "cat/0.png", "dog/0.png"):
        save_image(tmp_path / name, images[0])
    with pytest.raises(
        ValueError, match=r"images in .* lie beside class folders \(cat, dog\): move them"
    ):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros(5), r"float64 of shape \(5,\)"),
        (np.array(3), r"int64 of shape \(\)"),
        (np.zeros(0, int), r"int64 of shape \(0,\)"),
        (np.array(["cat", "dog"]), r"<U3 of shape \(2,\)"),
    ],
)
def test_other_arrays_are_no_labels(array: Any, found: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", labels=array)
    message = (
        rf"holds {found}, not labels; expected whole numbers: classes \(N,\) or factors \(N, F\)"
    )
    with pytest.raises(ValueError, match=rf"x.npy {message}"):
        read_labels(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=rf"'labels' in .*x.npz {message}"):
        read_labels(tmp_path / "x.npz")


def test_label_files_are_no_observations(tmp_path: Path) -> None:
    path = write(tmp_path / "train-labels-idx1-ubyte", idx(np.zeros(9, np.uint8)))
    with pytest.raises(
        ValueError,
        match=r"labels-idx1-ubyte holds labels, not observations: expected uint8 or uint16",
    ):
        lrl.as_frames(path)
