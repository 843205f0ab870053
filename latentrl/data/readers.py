"""Observations and labels in files: arrays, images and folders of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from latentrl.data.array_files import archive_names, read_array
from latentrl.data.store import has_store
from latentrl.types import Array

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
IMAGE_FORMATS = ("PNG", "JPEG", "BMP")
"""Formats that Pillow may decode; for some others it starts other programs."""
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B")
"""Pillow's names of the pixel formats without colour."""
MAX_SIDE = 256
"""Largest height or width in pixels of the images of a folder."""
SAMPLED_FILES = 256
"""Number of files whose headers decide size and colour."""
LABEL_ARRAYS = ("factors", "labels")


def open_source(path: str | Path) -> Source:
    """Open the observations in a file or in a folder of images, as ``as_frames`` describes.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the file is damaged or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        return ImageFolder(image_files(path))
    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return ImageFolder([path])
    names = archive_names(path)
    return read_array(path) if names is None else read_array(path, _observations_of(names, path))


def _observations_of(names: list[str], path: Path) -> str:
    others = [name for name in names if name not in LABEL_ARRAYS]
    if "observations" not in names and len(others) != 1:
        raise ValueError(
            f"{path} holds {', '.join(names) or 'nothing'}; name the array to use 'observations'"
        )
    return "observations" if "observations" in names else others[0]


def read_labels(path: str | Path) -> NDArray[np.int64] | None:
    """Classes ``(N,)`` or factors ``(N, F)`` of the observations at ``path``, in their order.

    Args:
        path: an ``.npz`` with an array ``factors`` or, failing that, ``labels``; an ``.npy`` or IDX
            file of whole numbers; IDX images with a label file beside them under MNIST's names
            (``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``); or a folder with one
            sub-folder per class. Classes are numbered in the order of their names.

    Returns:
        None for observations without labels, as in a store or in a folder without sub-folders.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the labels are not whole numbers, or some images have no class.
    """
    path = Path(path)
    if path.is_dir():
        return None if has_store(path) else _labels_of_folder(path)
    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return None
    names = archive_names(path)
    return _labels_of_file(path) if names is None else _labels_of_archive(path, names)


def _labels_of_archive(path: Path, names: list[str]) -> NDArray[np.int64] | None:
    name = next((name for name in LABEL_ARRAYS if name in names), None)
    return None if name is None else _as_labels(read_array(path, name), f"{name!r} in {path}")


def _labels_of_file(path: Path) -> NDArray[np.int64] | None:
    array = read_array(path)
    if array.ndim < 2 or (array.ndim == 2 and array.dtype.kind in "iub"):
        return _as_labels(array, str(path))
    name = path.name.replace("images", "labels").replace(f"idx{array.ndim}", "idx1")
    beside = path.with_name(name)
    found = beside != path and beside.exists()
    return _as_labels(read_array(beside), str(beside)) if found else None


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


class ImageFolder:
    """Images in files of any size, decoded on access and resized to one size.

    That size is the median height and the median width of up to 256 evenly spaced files, shrunk in
    proportion until neither exceeds 256 pixels. If all of those files are greyscale, the images are
    ``(H, W)``, otherwise RGB ``(H, W, 3)``; all are uint8 in 0..255. Transparency is dropped, and
    photographs are rotated by the orientation in their EXIF record.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the headers of up to 256 files for size and colour.

        Raises:
            ValueError: one of those files is not an image.
        """
        self.paths = list(paths)
        # Both ends are sampled, so that a folder of two kinds of image is found to be one.
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
        """Return the images at ``indices``, ``(B, H, W)`` or ``(B, H, W, 3)``.

        Raises:
            ValueError: a file is not an image; the message names it.
        """
        return np.stack(
            [_decode(self.paths[i], self.size, self.greyscale) for i in np.atleast_1d(indices)]
        )


def image_files(folder: Path) -> list[Path]:
    """List the images in ``folder`` and below it, sorted, without hidden files and folders.

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
            f"{folder} holds neither a frame store nor images ({', '.join(IMAGE_SUFFIXES)}), "
            f"but {found}"
        )
    return [folder / name for name in names]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            yield image
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _read_header(path: Path) -> tuple[int, int, bool]:
    with _opened(path) as image:
        # Orientations 5 to 8 exchange height and width.
        turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        width, height = reversed(image.size) if turned else image.size
        return height, width, image.mode in GREY_MODES


def _common_size(sizes: Array) -> tuple[int, int]:
    median = np.median(sizes, axis=0)
    height, width = (median * min(1.0, MAX_SIDE / median.max())).round().clip(1)
    return int(height), int(width)


def _decode(path: Path, size: tuple[int, int], greyscale: bool) -> Array:
    height, width = size
    with _opened(path) as image:
        # JPEG decodes at a half, a quarter or an eighth, where that is still large enough.
        image.draft(None, (max(size), max(size)))
        plain = _eight_bits(ImageOps.exif_transpose(image)).convert("L" if greyscale else "RGB")
        if plain.size != (width, height):
            plain = plain.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(plain)


def _eight_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion of 16 bits to 8 clips at 255 and does not scale.
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGBA") if image.mode in ("P", "PA") else image


Source = Array | ImageFolder
"""Observations ``(N, *shape)`` that ``Frames`` reads by an array of positions."""
