"""NumPy and IDX files: what is read against what was written, and each kind of damage."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import latentrl as lrl
from latentrl.data.readers import open_source, read_labels
from tests.latentrl.data.writers import IDX_TYPES, WRITERS, idx, write


def read_all(source: Any) -> Any:
    return open_source(source)[np.arange(len(open_source(source)))]


@pytest.mark.parametrize(
    "others", [{}, {"labels": np.arange(1000)}, {"factors": np.zeros((1000, 2), int)}]
)
def test_the_only_array_of_an_archive_needs_no_name(
    others: Any, vectors: Any, tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "one.npz", images=vectors, **others)
    np.testing.assert_array_equal(read_all(tmp_path / "one.npz"), vectors)


@pytest.mark.parametrize(
    ("names", "found"), [(["x_train", "x_test"], "x_train, x_test"), ([], "nothing")]
)
def test_archives_of_several_unnamed_arrays_are_refused(
    names: list[str], found: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "two.npz", **{name: np.zeros((2, 8)) for name in names})
    with pytest.raises(
        ValueError, match=rf"two.npz holds {found}; choose one by as_frames\(path, array=NAME\)"
    ):
        open_source(tmp_path / "two.npz")


def test_one_array_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    arrays = {name: np.full((3, 4), i, np.float32) for i, name in enumerate("abc")}
    np.savez(tmp_path / "three.npz", **arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(lrl.as_frames(tmp_path / "three.npz", array=name)[:], array)
    with pytest.raises(
        ValueError, match=r"three.npz holds a, b, c, no 'd'; choose one by .*array="
    ):
        lrl.as_frames(tmp_path / "three.npz", array="d")
    np.save(tmp_path / "one.npy", arrays["a"])
    with pytest.raises(
        ValueError, match=r"one.npy is no .npz of several arrays: omit the name 'a'"
    ):
        lrl.as_frames(tmp_path / "one.npy", array="a")


@pytest.mark.parametrize("name", ["objects.npy", "objects.npz"])
def test_pickled_arrays_are_refused(name: str, tmp_path: Path) -> None:
    save = np.save if name.endswith("npy") else np.savez
    save(tmp_path / name, np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(
        ValueError,
        match=rf"{name} cannot be read: .*[Oo]bject.*; save observations of one shape and",
    ):
        open_source(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "a.idx", "b.idx3-ubyte", "c.bin", "d.gz", "e.idx3-ubyte.gz"]
)
def test_idx_is_recognised_by_its_first_bytes(name: str, images: Any, tmp_path: Path) -> None:
    grey = images[:20, :, :, 0]
    path = write(
        tmp_path / name, gzip.compress(idx(grey), mtime=0) if name.endswith(".gz") else idx(grey)
    )
    assert lrl.as_frames(path).space == spaces.Box(0, 255, (32, 32), np.uint8)
    np.testing.assert_array_equal(lrl.as_frames(path)[:], grey)


@pytest.mark.parametrize("dtype", IDX_TYPES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 1, 2, 3)])
def test_idx_of_all_types_and_shapes(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = (np.random.default_rng(0).standard_normal(shape) * 50).astype(np.int8).astype(dtype)
    read: Any = open_source(write(tmp_path / "array.idx", idx(array)))
    np.testing.assert_array_equal(read, array)
    assert (read.dtype.kind, read.dtype.itemsize) == (array.dtype.kind, array.dtype.itemsize)


def test_idx_is_memory_mapped(images: Any, tmp_path: Path) -> None:
    assert isinstance(open_source(write(tmp_path / "a.idx", idx(images))), np.memmap)


def test_empty_idx(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.idx of shape \(0, 28, 28\) is empty"):
        lrl.as_frames(write(tmp_path / "a.idx", idx(np.zeros((0, 28, 28), np.uint8))))


IMAGES = idx(np.zeros((4, 8, 8), np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (IMAGES[:-1], r"truncated or damaged: uint8 \(4, 8, 8\) takes 272 bytes, the file has 271"),
        (
            IMAGES + b"\0",
            r"truncated or damaged: uint8 \(4, 8, 8\) takes 272 bytes, the file has 273",
        ),
        (IMAGES[:9], r"truncated or damaged: uint8 \(4, 0, 0\) takes 16 bytes, the file has 9"),
        (
            b"\0\0\x0a\x03" + IMAGES[4:],
            r"it starts with 00 00 0a 03; expected a store, .* or IDX .*, which starts with",
        ),
        (
            b"\x89PNG",
            r"it starts with 89 50 4e 47; expected a store, .*, \.npy, \.npz or IDX",
        ),
        (
            b"\0\0",
            r"it starts with 00 00; .*a type \(08, 09, 0b to 0e\) and the number of dimensions",
        ),
        (b"", "it starts with nothing; expected"),
        (gzip.compress(IMAGES, mtime=0)[:-9], ""),
        (gzip.compress(b"something", mtime=0), r"it starts with 73 6f 6d 65"),
        (b"\x1f\x8bno gzip", ""),
        (b"PK\3\4 no archive", ""),
        (b"\x93NUMPY", ""),
        (b"\x93NUMPY\1\0\x06\0{'a':\n", ""),
    ],
)
def test_damaged_files_are_named(data: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "damaged.idx", data)
    for read in (open_source, read_labels, lrl.as_frames):
        with pytest.raises(ValueError, match=f"damaged.idx cannot be read: {message}"):
            read(path)


@pytest.mark.parametrize("kind", ["npy", "npz", "idx"])
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.99])
def test_truncated_files_are_named(kind: str, fraction: float, images: Any, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, images[:20])
    data = path.read_bytes()
    write(path, data[: int(fraction * len(data))])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read: "):
        open_source(path)
