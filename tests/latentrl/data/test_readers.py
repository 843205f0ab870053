"""Observations and labels in files: every format against what was written, and each kind of
damage."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from PIL import Image
from torch.nn import functional as F

import latentrl as lrl
from latentrl.data.readers import ImageFolder, image_files, open_source, read_labels
from latentrl.data.store import FrameWriter

CODES = {
    "uint8": 0x08,
    "int8": 0x09,
    "int16": 0x0B,
    "int32": 0x0C,
    "float32": 0x0D,
    "float64": 0x0E,
}


def idx(array: Any) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def save_image(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def write_npy(folder: Path, images: Any) -> Path:
    np.save(folder / "frames.npy", images)
    return folder / "frames.npy"


def write_npz(folder: Path, images: Any) -> Path:
    np.savez(folder / "frames.npz", observations=images, rewards=np.zeros(len(images)))
    return folder / "frames.npz"


def write_idx(folder: Path, images: Any) -> Path:
    return write(folder / "frames-idx4-ubyte", idx(images))


def write_folder(folder: Path, images: Any) -> Path:
    for number, image in enumerate(images):
        save_image(folder / f"{number}.png", image)
    return folder


def write_store(folder: Path, images: Any) -> Path:
    space = spaces.Box(0, 255, images.shape[1:], np.uint8)
    count = len(images)
    with FrameWriter(folder, space, spaces.Discrete(2), {}) as writer:
        zeros = dict.fromkeys(
            ("action", "reward", "terminated", "truncated", "env", "episode"), np.zeros(count)
        )
        writer.append(images, **zeros)
    return folder


WRITERS: dict[str, Callable[[Path, Any], Path]] = {
    "npy": write_npy,
    "npz": write_npz,
    "idx": write_idx,
    "folder": write_folder,
    "store": write_store,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_source_gives_what_was_written(kind: str, images: Any, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, images[:5])
    frames = lrl.as_frames(path)
    assert frames.space == spaces.Box(0, 255, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(frames[:], images[:5])
    np.testing.assert_array_equal(frames[np.array([4, 0, 4])], images[[4, 0, 4]])
    np.testing.assert_array_equal(lrl.as_frames(str(path))[2], images[2])


def read_all(source: Any) -> Any:
    return open_source(source)[np.arange(len(open_source(source)))]


# NumPy's files


@pytest.mark.parametrize(
    "others", [{}, {"labels": np.arange(1000)}, {"factors": np.zeros((1000, 2), int)}]
)
def test_only_array_of_an_archive_needs_no_name(others: Any, vectors: Any, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "one.npz", images=vectors, **others)
    np.testing.assert_array_equal(read_all(tmp_path / "one.npz"), vectors)


@pytest.mark.parametrize(
    ("names", "found"), [(["x_train", "x_test"], "x_train, x_test"), ([], "nothing")]
)
def test_archives_without_a_clear_choice(names: list[str], found: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", **{name: np.zeros((2, 8)) for name in names})
    with pytest.raises(
        ValueError, match=rf"two.npz holds {found}; name the array to use 'observations'"
    ):
        open_source(tmp_path / "two.npz")


@pytest.mark.parametrize("name", ["objects.npy", "objects.npz"])
def test_pickled_arrays_are_refused(name: str, tmp_path: Path) -> None:
    save = np.save if name.endswith("npy") else np.savez
    save(tmp_path / name, np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(
        ValueError,
        match=rf"{name} cannot be read: .*[Oo]bject.*; save observations of one shape and",
    ):
        open_source(tmp_path / name)


# IDX


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "a.idx", "b.idx3-ubyte", "c.bin", "d.gz", "e.idx3-ubyte.gz"]
)
def test_idx_is_told_by_its_first_bytes(name: str, images: Any, tmp_path: Path) -> None:
    grey = images[:20, :, :, 0]
    path = write(
        tmp_path / name, gzip.compress(idx(grey), mtime=0) if name.endswith(".gz") else idx(grey)
    )
    assert lrl.as_frames(path).space == spaces.Box(0, 255, (32, 32), np.uint8)
    np.testing.assert_array_equal(lrl.as_frames(path)[:], grey)


@pytest.mark.parametrize("dtype", CODES)
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
        (IMAGES[:-1], r"truncated or damaged: uint8 \(4, 8, 8\) takes 272 bytes, it has 271"),
        (IMAGES + b"\0", r"truncated or damaged: uint8 \(4, 8, 8\) takes 272 bytes, it has 273"),
        (IMAGES[:9], r"truncated or damaged: uint8 \(4, 0, 0\) takes 16 bytes, it has 9"),
        (
            b"\0\0\x0a\x03" + IMAGES[4:],
            r"it begins with 00 00 0a 03; expected a store, .* or IDX .*, which begins with",
        ),
        (
            b"\x89PNG",
            r"it begins with 89 50 4e 47; expected a store, an image, a folder of images, \.npy, \.npz or IDX",
        ),
        (
            b"\0\0",
            r"it begins with 00 00; .*a type \(08, 09, 0b to 0e\) and the number of dimensions",
        ),
        (b"", "it begins with nothing; expected"),
        (gzip.compress(IMAGES, mtime=0)[:-9], ""),
        (gzip.compress(b"something", mtime=0), r"it begins with 73 6f 6d 65"),
        (b"\x1f\x8bno gzip", ""),
        (b"PK\3\4 no archive", ""),
        (b"\x93NUMPY", ""),
        (b"\x93NUMPY\1\0\x06\0{'a':\n", ""),
    ],
)
def test_damaged_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "damaged.idx", data)
    for read in (open_source, read_labels, lrl.as_frames):
        with pytest.raises(ValueError, match=f"damaged.idx cannot be read: {message}"):
            read(path)


@pytest.mark.parametrize("kind", ["npy", "npz", "idx"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_truncated_files_are_named(kind: str, share: float, images: Any, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path, images[:20])
    data = path.read_bytes()
    write(path, data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read: "):
        open_source(path)


def test_nothing_there(tmp_path: Path) -> None:
    for read in (open_source, read_labels, lrl.as_frames):
        for name in ("nowhere", "nowhere.npz", "nowhere.png"):
            with pytest.raises(
                FileNotFoundError,
                match=rf"nothing at .*{name}: expected a store, an image, a folder",
            ):
                read(tmp_path / name)


# Images


def test_folders_are_read_to_the_bottom_in_order(images: Any, tmp_path: Path) -> None:
    names = ["a.png", "cats/0.PNG", "cats/deeper/1.bmp", "dogs/0.png"]
    for name, image in zip(names, images, strict=False):
        save_image(tmp_path / name, image)
    for name in (".hidden.png", "cats/._0.png", ".cache/0.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, b"no image")
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == names
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[:], images[:4])


def test_a_single_image_is_a_folder_of_one(images: Any, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        lrl.as_frames(save_image(tmp_path / "one.png", images[0]))[:], images[:1]
    )


@pytest.mark.parametrize(
    ("sizes", "common"),
    [
        ([(20, 30)], (20, 30)),
        ([(20, 30), (40, 30), (100, 90)], (40, 30)),
        ([(20, 30), (31, 40)], (26, 35)),
        ([(512, 300)], (256, 150)),
        ([(100, 1000)], (26, 256)),
        ([(1, 2000)], (1, 256)),
        ([(500, 100), (100, 500), (100, 100)], (100, 100)),
    ],
)
def test_images_get_the_median_size(
    sizes: list[tuple[int, int]], common: tuple[int, int], tmp_path: Path
) -> None:
    for number, (height, width) in enumerate(sizes):
        save_image(tmp_path / f"{number}.png", np.zeros((height, width, 3), np.uint8))
    frames = lrl.as_frames(tmp_path)
    assert frames.space.shape == (*common, 3)
    assert frames[:].shape == (len(sizes), *common, 3)


def test_at_most_256_headers_are_read_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    opened: list[Path] = []
    plain = Image.open
    monkeypatch.setattr(
        Image, "open", lambda path, **options: opened.append(path) or plain(path, **options)
    )
    assert ImageFolder([path] * 10_000).shape == (10_000, 8, 8, 3)
    assert len(opened) == 256


@pytest.mark.parametrize("size", [(96, 64), (20, 48), (64, 64), (10, 12)])
def test_resizing_is_the_antialiased_bilinear_one(
    size: tuple[int, int], images: Any, tmp_path: Path
) -> None:
    pixels = torch.from_numpy(images[:1]).permute(0, 3, 1, 2).float()
    shown = F.interpolate(pixels, size, mode="bilinear").round().byte()
    other = save_image(tmp_path / "other.png", shown[0].permute(1, 2, 0).numpy())
    first = save_image(tmp_path / "first.png", images[0])
    expected = F.interpolate(shown.float(), (32, 32), mode="bilinear", antialias=True)[0].permute(
        1, 2, 0
    )
    frames = ImageFolder([first, first, other])[np.arange(3)]
    np.testing.assert_array_equal(frames[0], images[0])
    assert np.abs(frames[2] - expected.numpy()).max() <= 1.5


def gradient(channels: int = 1) -> Any:
    ramp = np.linspace(0, 255, 32 * 32 * channels).astype(np.uint8).reshape(32, 32, channels)
    return ramp[..., 0] if channels == 1 else ramp


@pytest.mark.parametrize(
    ("pixels", "mode", "expected"),
    [
        (gradient(), None, gradient()),
        (gradient(), "LA", gradient()),
        (gradient() > 99, "1", (gradient() > 99) * 255),
        (gradient().astype(np.uint16) * 257, None, gradient()),
        (gradient(3), None, gradient(3)),
        (gradient(4), None, gradient(4)[..., :3]),
        (gradient(), "P", gradient()[..., None].repeat(3, -1)),
    ],
    ids=[
        "grey",
        "grey with alpha",
        "black and white",
        "16 bits",
        "colour",
        "colour with alpha",
        "palette",
    ],
)
def test_every_kind_of_pixel(pixels: Any, mode: str | None, expected: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "0.png", pixels, mode)
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], expected)


def test_palettes_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(gradient()).convert("P")
    image.save(tmp_path / "0.png", transparency=bytes(range(256)))
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], gradient()[..., None].repeat(3, -1))


def test_one_coloured_file_makes_all_coloured(images: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "0.png", images[0, ..., 0])
    assert lrl.as_frames(tmp_path).space == spaces.Box(0, 255, (32, 32), np.uint8)
    save_image(tmp_path / "1.png", images[1])
    np.testing.assert_array_equal(lrl.as_frames(tmp_path)[0], images[0, ..., :1].repeat(3, -1))


def test_large_photographs(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:768, :1024] / 4
    save_image(
        tmp_path / "0.jpg",
        np.stack([rows, columns, 255 - columns], -1).astype(np.uint8),
        quality=95,
    )
    image = lrl.as_frames(tmp_path)[0].astype(float)
    rows, columns = np.mgrid[:192, :256] + 0.5
    assert np.abs(image - np.stack([rows, columns, 255 - columns], -1)).mean() < 2


def test_photographs_are_turned_upright(images: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    wide = np.ascontiguousarray(images[0, :16])
    save_image(tmp_path / "0.jpg", wide, quality=100, subsampling=0, exif=exif)
    image = lrl.as_frames(tmp_path)[0]
    assert image.shape == (32, 16, 3)
    assert np.abs(image.astype(int) - np.rot90(wide, -1)).mean() < 2


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_damaged_images_are_named(suffix: str, share: float, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = save_image(tmp_path / f"1.{suffix}", pixels).read_bytes()
    save_image(tmp_path / f"0.{suffix}", pixels)
    write(tmp_path / f"1.{suffix}", data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"1.{suffix} cannot be read as an image: "):
        lrl.as_frames(tmp_path)[:]


def test_no_image_is_noticed_at_opening(images: Any, tmp_path: Path) -> None:
    save_image(tmp_path / "0.png", images[0])
    write(tmp_path / "1.png", b"no image")
    with pytest.raises(ValueError, match=r"1.png cannot be read as an image: "):
        lrl.as_frames(tmp_path)


def test_folders_without_images(tmp_path: Path) -> None:
    message = r"holds neither a frame store nor images \(\.png, \.jpg, \.jpeg, \.bmp\), but "
    with pytest.raises(ValueError, match=rf"{message}nothing"):
        lrl.as_frames(tmp_path)
    for name in "fbadec":
        write(tmp_path / f"{name}.mp4", b"")
    with pytest.raises(ValueError, match=rf"{message}a.mp4, b.mp4, c.mp4, d.mp4, e.mp4$"):
        lrl.as_frames(tmp_path)


# Labels


@pytest.mark.parametrize("name", ["labels", "factors"])
@pytest.mark.parametrize("kind", ["idx", "gz", "npy", "npz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_labels_come_back(kind: str, name: str, dtype: Any, tmp_path: Path) -> None:
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


def test_factors_win_over_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", labels=np.zeros(3, int), factors=np.ones((3, 2), int))
    np.testing.assert_array_equal(read_labels(tmp_path / "both.npz"), np.ones((3, 2)))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_labels_lie_beside_images_under_the_names_of_mnist(suffix: str, tmp_path: Path) -> None:
    pack = gzip.compress if suffix else bytes
    images = write(tmp_path / f"t10k-images-idx3-ubyte{suffix}", pack(IMAGES))
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


def test_images_beside_class_folders_have_no_class(images: Any, tmp_path: Path) -> None:
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
def test_other_things_are_no_labels(array: Any, found: str, tmp_path: Path) -> None:
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
        ValueError, match=r"labels-idx1-ubyte holds labels, not observations: expected uint8 images"
    ):
        lrl.as_frames(path)
