"""Observations and labels in files: NumPy's, IDX (MNIST's format), images and folders of images."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from latentrl.types import Array

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B")
MAX_SIDE = 256
SAMPLED_FILES = 256
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
KNOWN = "a store, an image, a folder of images, .npy, .npz or IDX (also .gz)"
LABEL_ARRAYS = ("factors", "labels")


def open_source(path: str | Path) -> Source:
    """Open the observations in a file or a folder of images, as ``as_frames`` describes.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there is of another kind, or is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return ImageFolder(image_files(path))
    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return ImageFolder([path])
    names = _archive_names(path)
    return _read_array(path) if names is None else _read_array(path, _observations_of(names, path))


def read_labels(path: str | Path) -> NDArray[np.int64] | None:
    """Return the classes ``(N,)`` or the factors ``(N, F)`` of observations, in their order.

    Args:
        path: an ``.npz`` with an array ``factors`` or, failing that, ``labels``; an ``.npy`` or IDX
            file of whole numbers; IDX images, whose labels lie beside them under MNIST's names
            (``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``); or a folder with one
            sub-folder per class, which are numbered in the order of their names.

    Returns:
        None where the observations come without labels, as in a store or in a plain folder.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what should be labels is not whole numbers, or some images have no class.
    """
    path = Path(path)
    if path.is_dir():
        return None if (path / "manifest.json").exists() else _labels_of_folder(path)
    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return None
    names = _archive_names(path)
    return _labels_of_file(path) if names is None else _labels_of_archive(path, names)


def _labels_of_archive(path: Path, names: list[str]) -> NDArray[np.int64] | None:
    name = next((name for name in LABEL_ARRAYS if name in names), None)
    return None if name is None else _as_labels(_read_array(path, name), f"{name!r} in {path}")


def _labels_of_file(path: Path) -> NDArray[np.int64] | None:
    array = _read_array(path)
    if array.ndim < 2 or (array.ndim == 2 and array.dtype.kind in "iub"):
        return _as_labels(array, str(path))
    beside = path.with_name(
        path.name.replace("images", "labels").replace(f"idx{array.ndim}", "idx1")
    )
    return (
        _as_labels(_read_array(beside), str(beside)) if beside != path and beside.exists() else None
    )


def _labels_of_folder(folder: Path) -> NDArray[np.int64] | None:
    below = [path.relative_to(folder).parts for path in image_files(folder)]
    names, numbers = np.unique(
        [parts[0] if len(parts) > 1 else "" for parts in below], return_inverse=True
    )
    if len(names) == 1:
        return None
    if names[0] == "":
        raise ValueError(
            f"images in {folder} lie beside class folders ({', '.join(names[1:])}): move them"
        )
    return numbers.astype(np.int64)


def _as_labels(array: Array, where: str) -> NDArray[np.int64]:
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "iub":
        raise ValueError(
            f"{where} holds {array.dtype} of shape {array.shape}, not labels; "
            "expected whole numbers: classes (N,) or factors (N, F)"
        )
    return array.astype(np.int64)


# NumPy's files and IDX


def _magic(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"nothing at {path}: expected {KNOWN}")
    with path.open("rb") as file:
        return file.read(4)


def _archive_names(path: Path) -> list[str] | None:
    if not _magic(path).startswith(b"PK"):
        return None
    with _damage_named(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return list(archive.files)


def _observations_of(names: list[str], path: Path) -> str:
    others = [name for name in names if name not in LABEL_ARRAYS]
    if "observations" not in names and len(others) != 1:
        raise ValueError(
            f"{path} holds {', '.join(names) or 'nothing'}; name the array to use 'observations'"
        )
    return "observations" if "observations" in names else others[0]


def _read_array(path: Path, name: str | None = None) -> Array:
    """Read an ``.npy`` or IDX file, memory-mapped unless compressed, or the array ``name`` of an
    archive.
    """
    magic = _magic(path)
    with _damage_named(path):
        if name is not None:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return np.asarray(archive[name])
        if magic == b"\x93NUM":
            return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
        if magic.startswith(b"\x1f\x8b"):
            return _parse_idx(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8))
        return _parse_idx(np.memmap(path, np.uint8, "r") if magic else np.empty(0, np.uint8))


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # NumPy lets errors of zip, zlib and Python's tokenizer through
        hint = "; save observations of one shape and type" if "object" in str(error).lower() else ""
        raise ValueError(f"{path} cannot be read: {str(error).rstrip('.')}{hint}") from error


def _parse_idx(data: Array) -> Array:
    magic = bytes(data[:4])
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:
        raise ValueError(
            f"it begins with {magic.hex(' ') or 'nothing'}; expected {KNOWN}, "
            "which begins with 00 00, a type (08, 09, 0b to 0e) and the number of dimensions"
        )
    dtype, start = np.dtype(IDX_DTYPES[magic[2]]), 4 + 4 * magic[3]
    shape = tuple(int.from_bytes(bytes(data[at : at + 4]), "big") for at in range(4, start, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(
            f"truncated or damaged: {dtype.name} {shape} takes {expected} bytes, it has {len(data)}"
        )
    return data[start:].view(dtype).reshape(shape)


# Images


class ImageFolder:
    """Images in files of any sizes, decoded when asked for and brought to one size.

    That size is the median height and the median width of up to 256 evenly spaced files, shrunk in
    proportion until neither exceeds 256 pixels. Where all of those files are greyscale the images
    are ``(H, W)``, otherwise RGB; all are uint8 in 0..255. Transparency is dropped, and photographs
    are turned upright as their EXIF record says.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the headers of up to 256 files to learn size and colour.

        Raises:
            ValueError: one of those files is not an image.
        """
        self.paths = list(paths)
        sample = np.linspace(0, len(paths) - 1, min(len(paths), SAMPLED_FILES)).astype(int)
        headers = [_read_header(self.paths[i]) for i in sample]
        self.greyscale = all(grey for *_, grey in headers)
        self.size = _common_size(np.array([size for *size, _ in headers]))
        self.shape = (len(self.paths), *self.size, *(() if self.greyscale else (3,)))
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, indices: Any) -> Array:
        """Return the images at ``indices``, ``(B, H, W)`` or ``(B, H, W, 3)``; errors name the
        file.
        """
        return np.stack(
            [_decode(self.paths[i], self.size, self.greyscale) for i in np.atleast_1d(indices)]
        )


def image_files(folder: Path) -> list[Path]:
    """Return the images in ``folder`` and below it, sorted, without those whose names start with a
    dot.

    Raises:
        ValueError: there are none.
    """
    below = (
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
    )
    names = sorted(name for name in below if not any(part.startswith(".") for part in name.parts))
    if not names:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{folder} holds neither a frame store nor images ({', '.join(IMAGE_SUFFIXES)}), but {found}"
        )
    return [folder / name for name in names]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        # Only these formats: some of Pillow's others start other programs.
        with Image.open(path, formats=("PNG", "JPEG", "BMP")) as image:
            yield image
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _read_header(path: Path) -> tuple[int, int, bool]:
    with _opened(path) as image:
        turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        width, height = reversed(image.size) if turned else image.size
        return height, width, image.mode in GREY_MODES


def _common_size(sizes: Array) -> tuple[int, int]:
    median = np.median(sizes, axis=0)
    height, width = (median * min(1.0, MAX_SIDE / median.max())).round().clip(1)
    return int(height), int(width)


def _decode(path: Path, size: tuple[int, int], greyscale: bool) -> Array:
    with _opened(path) as image:
        image.draft(
            None, (max(size), max(size))
        )  # lets JPEG decode at a half or less where that is enough
        plain = _eight_bits(ImageOps.exif_transpose(image)).convert("L" if greyscale else "RGB")
        return np.asarray(
            plain
            if plain.size == size[::-1]
            else plain.resize(size[::-1], Image.Resampling.BILINEAR)
        )


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGBA") if image.mode in ("P", "PA") else image


Source = Array | ImageFolder
"""What ``Frames`` reads: an array ``(N, *shape)`` or something like it, indexed by an array of
positions."""
