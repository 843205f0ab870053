"""Images in files of any size, decoded on access."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from PIL import ExifTags, Image, ImageOps

from latentrl.types import Array

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
"""Formats that Pillow may decode; for some others it starts other programs."""
GREY_MODES = ("1", "L", "LA")
"""Pillow's names of the pixel formats of 8 bits without colour; those of 16 bits start with I."""
MAX_SIDE = 256
"""Largest height or width in pixels of the images of a folder."""
MAX_PIXELS = 2**26
"""Most pixels of a file, so that decoding it takes less than 1 GiB."""
SAMPLED_FILES = 256
"""Number of files whose headers decide size and colour."""


class ImageFolder:
    """Images in files of any size, decoded on access and resized to one size.

    That size is the median height and the median width of up to 256 evenly spaced files, shrunk in
    proportion until neither exceeds 256 pixels. If all of those files are greyscale, the images are
    ``(H, W)``, otherwise RGB ``(H, W, 3)``. They are uint8 in 0..255; greyscale files of 16 bits
    are uint16. Transparency is dropped, and photographs are rotated by the orientation in their
    EXIF record.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the headers of up to 256 files for size and colour.

        Raises:
            ValueError: one of those files is not an image, or some have 8 bits and others 16.

        Warns:
            UserWarning: files hold more than is read: several images, or colours of 16 bits.
        """
        self.paths = list(paths)
        # Both ends are sampled, so that a folder of two kinds of image is found to be one.
        sample = np.linspace(0, len(paths) - 1, min(len(paths), SAMPLED_FILES)).astype(int)
        headers = [_read_header(self.paths[i]) for i in sample]
        _check_depth(headers)
        _warn_of_losses(headers)
        self.greyscale = all(header.grey for header in headers)
        self.size = _common_size(np.array([header.size for header in headers]))
        self.dtype = np.dtype(np.uint16 if headers[0].deep else np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all images together, ``(N, H, W)`` or ``(N, H, W, 3)``."""
        return (len(self.paths), *self.size, *(() if self.greyscale else (3,)))

    def convert_to(self, space: spaces.Box) -> None:
        """Take the size and the colours of ``space``, where it is one of images of this type."""
        colours = ((),) if self.dtype == np.uint16 else ((), (3,))
        if self.dtype == space.dtype and space.shape[2:] in colours and len(space.shape) > 1:
            self.size, self.greyscale = (space.shape[0], space.shape[1]), len(space.shape) == 2

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, indices: Any) -> Array:
        """Return the images at ``indices``, ``(B, H, W)`` or ``(B, H, W, 3)``.

        Raises:
            ValueError: a file is not an image; the message names it.
        """
        return np.stack([self._decode(self.paths[i]) for i in np.atleast_1d(indices)])

    def verify(self) -> None:
        """Decode every file once; raise ``ValueError`` for the first that is damaged."""
        for path in self.paths:
            self._decode(path)

    def _decode(self, path: Path) -> Array:
        with _opened(path) as image:
            if (self.dtype == np.uint16) != _is_deep(image):
                raise ValueError(f"it has not {8 * self.dtype.itemsize} bits, as other files have")
            if self.dtype == np.uint16:
                return _decode_deep(image, self.size)
            return _decode(image, self.size, self.greyscale)


def image_files(folder: Path) -> list[Path]:
    """List the images in ``folder`` and below it, sorted, without hidden files and folders.

    Raises:
        ValueError: there are none.
    """
    paths = [path for path in _files(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{folder} holds neither a frame store nor images ({', '.join(IMAGE_SUFFIXES)}), "
            f"but {found}"
        )
    return paths


def warn_of_other_files(folder: Path) -> None:
    """Warn of the files in ``folder`` that are left out because they are no images."""
    others = [path for path in _files(folder) if path.suffix.lower() not in IMAGE_SUFFIXES]
    if others:
        kinds = Counter(path.suffix.lower() or path.name for path in others).most_common(5)
        listed = ", ".join(f"{kind} {count}" for kind, count in kinds)
        warnings.warn(
            f"files of other kinds in {folder} were left out: {listed}",
            UserWarning,
            stacklevel=2,
        )


def _files(folder: Path) -> list[Path]:
    below = sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return [folder / name for name in below if not any(part.startswith(".") for part in name.parts)]


@dataclass(frozen=True)
class _Header:
    path: Path
    size: tuple[int, int]
    """Height and width as a viewer shows them."""
    grey: bool
    deep: bool
    """Whether values have 16 bits."""
    several: bool
    """Whether the file holds several images."""
    deep_colour: bool
    """Whether colours have 16 bits, of which Pillow keeps 8."""


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        if not path.is_file():  # opening a pipe would never return
            raise ValueError("it is no regular file")
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"its {width}x{height} pixels are more than {MAX_PIXELS:,}")
            yield image
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _read_header(path: Path) -> _Header:
    with _opened(path) as image:
        if image.mode == "F":
            raise ValueError("its pixels are floats: save such images as one .npy file")
        # Orientations 5 to 8 exchange height and width.
        turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        width, height = reversed(image.size) if turned else image.size
        deep = _is_deep(image)
        tiles = getattr(image, "tile", [])
        stored = str(tiles[0][-1]) if tiles else ""  # the decoder's name of the pixels
        return _Header(
            path,
            (height, width),
            deep or image.mode in GREY_MODES,
            deep,
            getattr(image, "is_animated", False),
            ";16" in stored and not deep,
        )


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I")


def _check_depth(headers: Sequence[_Header]) -> None:
    others = [header for header in headers if header.deep != headers[0].deep]
    if others:
        deep, plain = sorted((headers[0], others[0]), key=lambda header: not header.deep)
        raise ValueError(
            f"{deep.path} has 16 bits, {plain.path} has 8: keep images of one kind in a folder"
        )


def _warn_of_losses(headers: Sequence[_Header]) -> None:
    several = [header.path for header in headers if header.several]
    coloured = [header.path for header in headers if header.deep_colour]
    for paths, loss in (
        (several, "hold several images, of which the first is read"),
        (coloured, "have colours of 16 bits, of which 8 are read"),
    ):
        if paths:
            warnings.warn(f"files such as {paths[0]} {loss}", UserWarning, stacklevel=3)


def _common_size(sizes: Array) -> tuple[int, int]:
    median = np.median(sizes, axis=0)
    height, width = (median * min(1.0, MAX_SIDE / median.max())).round().clip(1)
    return int(height), int(width)


def _decode(image: Image.Image, size: tuple[int, int], greyscale: bool) -> Array:
    # JPEG decodes at a half, a quarter or an eighth, where that is still large enough.
    image.draft(None, (max(size), max(size)))
    plain = ImageOps.exif_transpose(image)
    plain = plain.convert("RGBA") if plain.mode in ("P", "PA") else plain
    return np.asarray(_resize(plain.convert("L" if greyscale else "RGB"), size))


def _decode_deep(image: Image.Image, size: tuple[int, int]) -> Array:
    values = np.asarray(ImageOps.exif_transpose(image))
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ValueError("its values do not fit 16 bits: save such images as one .npy file")
    if values.shape == size:
        return values.astype(np.uint16)
    # Pillow resizes floats, not 16-bit integers.
    resized = np.asarray(_resize(Image.fromarray(values.astype(np.float32)), size))
    return (resized + 0.5).astype(np.uint16)


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)
