"""Arrays in files: NumPy's formats and IDX, the format of MNIST."""

from __future__ import annotations

import gzip
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from latentrl.types import Array

KNOWN = "a store, an image, a folder of images, a table, .npy, .npz or IDX (also .gz)"
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Big-endian type of the values, by the third byte of an IDX file."""
IDX_HEADER = 4 + 4 * 255
"""Bytes of the longest header."""
ZIP, NUMPY, GZIP = b"PK", b"\x93NUM", b"\x1f\x8b"
"""First bytes of a file of each format. Names are not enough: MNIST's files have no suffix."""
DECODED_BYTES, DECODED_RATIO = 2**29, 100
"""A file may decompress to this many bytes, or to this many times its size."""


def archive_names(path: Path) -> list[str] | None:
    """Names of the arrays in an ``.npz``; None for a file of another format.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: the archive is damaged.
    """
    if not _first_bytes(path).startswith(ZIP):
        return None
    with named_errors(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_array(path: Path, name: str | None = None) -> Array:
    """Read an ``.npy`` file, an IDX file or one array of an ``.npz``.

    ``.npy`` and IDX files are memory-mapped, unless they are gzipped. The size of what is
    compressed is compared with ``DECODED_BYTES`` before it is decompressed.

    Args:
        path: the file.
        name: name of the array in an ``.npz``; None for other formats.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: the file is damaged, of another format, or decompresses to far more than its
            size.
    """
    magic = _first_bytes(path)
    with named_errors(path):
        if name is not None:
            return _read_archive(path, name)
        if magic == NUMPY:
            with path.open("rb") as file:
                _check_numpy_header(file, path.stat().st_size)
            return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
        if magic.startswith(GZIP):
            return _read_gzip(path)
        return _parse_idx(np.memmap(path, np.uint8, "r") if magic else np.empty(0, np.uint8))


def require_file(path: Path) -> None:
    """Raise an error where ``path`` is no file that ends: a pipe would never return.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is a folder, a pipe or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"nothing at {path}: expected {KNOWN}")
    if not path.is_file():
        raise ValueError(f"{path} is no regular file: expected {KNOWN}")


def check_decoded_size(size: int, path: Path) -> None:
    """Raise ``ValueError`` where decompressed data would be far larger than their file."""
    stored = path.stat().st_size
    if size > max(DECODED_BYTES, DECODED_RATIO * stored):
        raise ValueError(
            f"its {stored:,} bytes decompress to {size:,}, which data hardly do; if they are "
            "right, save them as .npy"
        )


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn every error of reading into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # NumPy passes on errors of zip, zlib and Python's tokenizer
        hint = "; save observations of one shape and type" if "object" in str(error).lower() else ""
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} cannot be read: {reason}{hint}") from error


def _first_bytes(path: Path) -> bytes:
    require_file(path)
    with path.open("rb") as file:
        return file.read(4)


def _read_archive(path: Path, name: str) -> Array:
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{name}.npy")
        check_decoded_size(entry.file_size, path)
        with archive.open(entry) as file:
            _check_numpy_header(file, entry.file_size)
        with archive.open(entry) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _check_numpy_header(file: IO[bytes], size: int) -> None:
    """Raise ``ValueError`` where a header describes no array of a file of ``size`` bytes."""
    version = np.lib.format.read_magic(file)
    # Later versions have headers of up to 4 GiB, for types of many named fields.
    if version != (1, 0):
        raise ValueError(f"its format is {version}; observations have 1.0, as np.save writes it")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError("its values are Python objects, which are not loaded")
    start = file.seek(0, os.SEEK_CUR)
    expected = start + math.prod(shape) * dtype.itemsize
    if size != expected:
        raise ValueError(
            f"truncated or damaged: {dtype} {shape} takes {expected} bytes, there are {size}"
        )


def _read_gzip(path: Path) -> Array:
    with gzip.open(path) as file:
        head = np.frombuffer(file.read(IDX_HEADER), np.uint8)
        dtype, shape, start = _idx_header(head)
        size = start + math.prod(shape) * dtype.itemsize
        check_decoded_size(size, path)
        # One byte more than expected, so that a file that is too long is found.
        data = np.empty(max(size + 1, len(head)), np.uint8)
        data[: len(head)] = head
        filled = len(head)
        while count := file.readinto(data[filled:].data):
            filled += count
    return _parse_idx(data[:filled])


def _idx_header(data: Array) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Type and shape of the values of an IDX file, and where they start."""
    magic = bytes(data[:4])
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:
        raise ValueError(
            f"it starts with {magic.hex(' ') or 'nothing'}; expected {KNOWN}, "
            "which starts with 00 00, a type (08, 09, 0b to 0e) and the number of dimensions"
        )
    start = 4 + 4 * magic[3]  # one 4-byte size per dimension follows the magic number
    shape = tuple(int.from_bytes(bytes(data[at : at + 4]), "big") for at in range(4, start, 4))
    return np.dtype(IDX_DTYPES[magic[2]]), shape, start


def _parse_idx(data: Array) -> Array:
    dtype, shape, start = _idx_header(data)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(
            f"truncated or damaged: {dtype.name} {shape} takes {expected} bytes, the file has "
            f"{len(data)}"
        )
    return data[start:].view(dtype).reshape(shape)
