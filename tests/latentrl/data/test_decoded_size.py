"""Files that would take all memory or never end, and files with random damage."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import latentrl as lrl
from latentrl.data.readers import open_source, read_labels
from tests.latentrl.data.writers import idx, save_image, write, write_npz

HUGE = (2**40, 8)


def npy_header(shape: Any, version: tuple[int, int] = (1, 0)) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + size + header.encode()


def npz(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("observations.npy", data)
    return path


def idx_header(*shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def png_header(width: int, height: int) -> bytes:
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 9) + b"IDAT" + bytes(13)


FILES = {
    "a.npy": (npy_header(HUGE), r"truncated or damaged: float32 \(1099511627776, 8\) takes"),
    "b.npy": (npy_header((2**62, 8)), "truncated or damaged"),
    "c.npy": (npy_header((-4, 8)) + bytes(128), "truncated or damaged"),
    "d.npy": (
        b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1),
        r"format is \(2, 0\); observations have 1.0",
    ),
    "a.idx": (idx_header(*[2**32 - 1] * 3), "truncated or damaged"),
    "a.gz": (gzip.compress(idx_header(2**31, 64, 64), mtime=0), "which data hardly do"),
    "b.gz": (gzip.compress(b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"\7", mtime=0), "dimension"),
    "a.png": (png_header(50_000, 50_000), "as an image: Image size"),
    "b.png": (png_header(9_000, 9_000), r"its 9000x9000 pixels are more than 67,108,864"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", FILES)
def test_absurd_sizes_are_refused_before_anything_is_allocated(name: str, tmp_path: Path) -> None:
    data, message = FILES[name]
    with pytest.raises(ValueError, match=rf"{name} cannot be read.*({message})"):
        open_source(write(tmp_path / name, data))


@pytest.mark.parametrize(
    "data", [npy_header(HUGE), npy_header((4, 2)), npy_header((4, 2)) + bytes(33)]
)
def test_arrays_of_an_archive_have_the_size_of_their_header(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"truncated or damaged: float32 .* takes \d+ bytes, there"
    ):
        open_source(npz(tmp_path / "a.npz", data))


@pytest.mark.parametrize("kind", ["npz", "gz"])
def test_data_that_decompress_to_gigabytes_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentrl.data.array_files.DECODED_BYTES", 2**16)
    zeros = np.zeros((2**12, 16, 16), np.uint8)
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez_compressed(path, observations=zeros)
    else:
        write(path, gzip.compress(idx(zeros), mtime=0))
    with pytest.raises(ValueError, match=r"bytes decompress to 1,048,\d+, which data hardly do"):
        open_source(path)
    monkeypatch.setattr("latentrl.data.array_files.DECODED_RATIO", 10_000)
    np.testing.assert_array_equal(open_source(path)[:], zeros)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.idx", "a.csv", "a.png", "folder/a.gif"])
def test_pipes_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    source = tmp_path / Path(name).parts[0]
    with pytest.raises(ValueError, match=r"no regular file"):
        lrl.as_frames(source)


def written(folder: Path) -> dict[str, bytes]:
    """Intact files of every format, by name."""
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)
    names = ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp", "a.gif"]
    files = [save_image(folder / name, images[0]) for name in names]
    files += [save_image(folder / "deep.png", images[0, ..., 0].astype(np.uint16) * 99)]
    files += [write_npz(folder, images), npz(folder / "b.npz", npy_header((4, 8)) + bytes(128))]
    files += [
        write(folder / "a.idx", idx(images)),
        write(folder / "a.gz", gzip.compress(idx(images))),
    ]
    np.save(folder / "a.npy", images)
    frame = pd.DataFrame(images[:, 0, :, 0] / 2, columns=[f"x{i}" for i in range(12)])
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_parquet(folder / "a.parquet")
    files += [folder / name for name in ("a.npy", "a.csv", "a.parquet")]
    return {file.name: file.read_bytes() for file in files}


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    if rng.random() < 0.3:
        return bytes(changed[: rng.integers(len(changed))])
    # Headers are short, and most of what can go wrong is in them.
    end = min(len(changed), 120) if rng.random() < 0.5 else len(changed)
    for _ in range(rng.integers(1, 4)):
        changed[rng.integers(end)] = rng.integers(256)
    return bytes(changed)


def refusal(read: Callable[[Path], Any], path: Path) -> str | None:
    """Return the message by which a file is refused; None for one that is read."""
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore")
def test_random_damage_ends_in_one_line_that_names_the_file(tmp_path: Path, capfd: Any) -> None:
    messages = []
    for name, data in written(tmp_path).items():
        rng = np.random.default_rng(len(data))
        for _ in range(15):
            path = write(tmp_path / name, damaged(data, rng))
            reads = (lambda path: lrl.as_frames(path)[:1], read_labels)
            messages += [(name, refusal(read, path)) for read in reads]
    refused = [(name, message) for name, message in messages if message is not None]
    assert len(messages) / 4 < len(refused) < len(messages)
    assert all(name in message and "\n" not in message for name, message in refused)
    capfd.readouterr()  # libtiff prints what it finds
