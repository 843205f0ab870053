"""Arrays in files: NumPy's formats and IDX, the format of MNIST."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from latentrl.types import Array

KNOWN = "a store, an image, a folder of images, .npy, .npz or IDX (also .gz)"
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Big-endian type of the values, by the third byte of an IDX file."""
ZIP, NUMPY, GZIP = b"PK", b"\x93NUM", b"\x1f\x8b"
"""First bytes of a file of each format. Names are not enough: MNIST's files have no suffix."""


def archive_names(path: Path) -> list[str] | None:
    """Names of the arrays in an ``.npz``; None for a file of another format.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: the archive is damaged.
    """
    if not _first_bytes(path).startswith(ZIP):
        return None
    with _named_errors(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return list(archive.files)


def read_array(path: Path, name: str | None = None) -> Array:
    """Read an ``.npy`` file, an IDX file or one array of an ``.npz``.

    ``.npy`` and IDX files are memory-mapped, unless they are gzipped.

    Args:
        path: the file.
        name: name of the array in an ``.npz``; None for other formats.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: the file is damaged or of another format.
    """
    magic = _first_bytes(path)
    with _named_errors(path):
        if name is not None:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return np.asarray(archive[name])
        if magic == NUMPY:
            return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
        if magic.startswith(GZIP):
            return _parse_idx(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8))
        return _parse_idx(np.memmap(path, np.uint8, "r") if magic else np.empty(0, np.uint8))


def _first_bytes(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"nothing at {path}: expected {KNOWN}")
    with path.open("rb") as file:
        return file.read(4)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn every error of reading into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # NumPy passes on errors of zip, zlib and Python's tokenizer
        hint = "; save observations of one shape and type" if "object" in str(error).lower() else ""
        raise ValueError(f"{path} cannot be read: {str(error).rstrip('.')}{hint}") from error


def _parse_idx(data: Array) -> Array:
    magic = bytes(data[:4])
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:
        raise ValueError(
            f"it starts with {magic.hex(' ') or 'nothing'}; expected {KNOWN}, "
            "which starts with 00 00, a type (08, 09, 0b to 0e) and the number of dimensions"
        )
    dtype = np.dtype(IDX_DTYPES[magic[2]])
    start = 4 + 4 * magic[3]  # one 4-byte size per dimension follows the magic number
    shape = tuple(int.from_bytes(bytes(data[at : at + 4]), "big") for at in range(4, start, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(
            f"truncated or damaged: {dtype.name} {shape} takes {expected} bytes, the file has "
            f"{len(data)}"
        )
    return data[start:].view(dtype).reshape(shape)
