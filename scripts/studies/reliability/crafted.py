"""Edits that belong to a format: headers that declare other sizes and types, and bombs."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from scripts.studies.reliability.changes import (
    Change,
    Changer,
    edit_json,
    edit_notes,
    edit_tensors,
    overwrite,
)

SHAPES: tuple[tuple[int, ...], ...] = (
    *((), (0,), (96,), (-1, 16, 16, 3), (0, 16, 16, 3), (96, 16, 16, 4), (96, 0, 16, 3)),
    *((2**40, 16, 16, 3), (2**62, 2**62), (96, 10**9), (10**8,), (1,) * 70),
)
DTYPES = ("|O", "|V8", "<U5", "<M8[s]", "<c16", "|b1", "<f2", ">i4", "<u8", "|S3", "<f16", "x")
MEGABYTES = 1_500
"""Size of what a bomb unpacks to."""


def edits_of(file: Path) -> tuple[Changer, ...]:
    """Return the edits of files with the suffix of ``file``."""
    return EDITS.get(file.suffix, ())


def npy_header(file: Path, rng: np.random.Generator) -> Change:
    """Declare another shape or type in the header of an ``.npy``."""
    data, text = _npy(rng)
    file.write_bytes(data)
    return Change(text, edit=True)


def _npy(rng: np.random.Generator) -> tuple[bytes, str]:
    shape = SHAPES[int(rng.integers(len(SHAPES)))] if rng.random() < 0.5 else (96, 16, 16, 3)
    dtype = DTYPES[int(rng.integers(len(DTYPES)))] if rng.random() < 0.5 else "|u1"
    header = str({"descr": dtype, "fortran_order": bool(rng.integers(2)), "shape": shape})
    if rng.random() < 0.1:
        header = "(" * 3_000
    encoded = header.encode() + b"\n"
    version = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded))
    return version + encoded + rng.bytes(96 * 16 * 16 * 3), f"declared {header[:80]}"


def npz_members(file: Path, rng: np.random.Generator) -> Change:
    """Write an archive with other members: foreign, several, broken, none, or a bomb."""
    intact = io.BytesIO()
    np.save(intact, np.zeros((9, 4), np.float32))
    bomb = 2**20 * MEGABYTES
    choices: list[tuple[str, dict[str, bytes]]] = [
        ("no member", {}),
        ("text", {"observations.npy": b"hello"}),
        ("a path above", {"../observations.npy": intact.getvalue()}),
        ("no suffix", {"observations": intact.getvalue()}),
        ("two members", {"a.npy": intact.getvalue(), "b.npy": intact.getvalue()}),
        ("a member with another header", {"observations.npy": _npy(rng)[0]}),
        ("a bomb", {"observations.npy": _bomb_header(bomb)}),
        ("a bomb of labels", {"observations.npy": intact.getvalue(), "labels.npy": b""}),
    ]
    name, members = choices[int(rng.integers(len(choices)))]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, data in members.items():
            with archive.open(member, "w") as opened:
                opened.write(data)
                for _ in range(MEGABYTES if name == "a bomb" else 0):
                    opened.write(bytes(2**20))
    return Change(f"an archive of {name}", edit=True)


def _bomb_header(size: int) -> bytes:
    header = str({"descr": "|u1", "fortran_order": False, "shape": (size // 768, 16, 16, 3)})
    encoded = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded


def idx_header(file: Path, rng: np.random.Generator) -> Change:
    """Declare another type or other sizes in an IDX file, also in a gzipped one."""
    data, text = _idx(rng)
    file.write_bytes(gzip.compress(data, 1) if file.suffix == ".gz" else data)
    return Change(text, edit=True)


def _idx(rng: np.random.Generator) -> tuple[bytes, str]:
    sizes = [int(rng.choice([0, 1, 16, 96, 2**31, 2**32 - 1])) for _ in range(rng.integers(0, 7))]
    kind = int(rng.choice([0x08, 0x09, 0x0B, 0x0D, 0x0E, 0x10]))
    dimensions = len(sizes) if rng.random() < 0.7 else 255
    header = bytes([0, 0, kind, dimensions]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    return header + rng.bytes(500), f"declared type {kind:#x}, {dimensions} sizes {sizes}"


def gzip_bomb(file: Path, _: np.random.Generator) -> Change:
    """Write gzipped zeros, thousands of times the size of their file."""
    count = 2**20 * MEGABYTES
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count // 256, 16, 16))
    block = gzip.compress(bytes(2**24), 1)
    # Members of a gzip file that follow each other unpack to one stream.
    file.write_bytes(gzip.compress(header) + block * (count // 2**24))
    return Change(f"a bomb of {MEGABYTES} MB", edit=True)


def png_header(file: Path, rng: np.random.Generator) -> Change:
    """Write a PNG of another size than its data have."""
    sides = [int(rng.choice([0, 1, 16, 9_000, 13_000, 60_000, 2**31 - 1])) for _ in range(2)]
    depth, colour = int(rng.choice([1, 8, 16, 3])), int(rng.choice([0, 2, 3, 6, 9]))
    header = struct.pack(">IIBBBBB", *sides, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    return Change(f"a PNG of {sides}, {depth} bits, colour type {colour}", edit=True)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def csv_cell(file: Path, rng: np.random.Generator) -> Change:
    """Replace one cell of a CSV, or add one."""
    lines = file.read_text(encoding="utf-8").splitlines()
    cells: list[Any] = ["", "x", "1e999", "nan", "-", '"', "1,2", "\0", "9" * 400, "=1+1", "é", " "]
    row, cell = int(rng.integers(len(lines))), str(cells[int(rng.integers(len(cells)))])
    values = lines[row].split(",")
    values[int(rng.integers(len(values)))] = cell
    lines[row] = ",".join(values)
    file.write_text("\n".join(lines), encoding="utf-8")
    return Change(f"line {row}: a cell is {cell[:20]!r}", edit=True)


def safetensors_header(file: Path, rng: np.random.Generator) -> Change:
    """Declare another shape, type or place of a tensor, or another length of the header."""
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    names = sorted(name for name in header if name != "__metadata__")
    if not names:
        return overwrite(file, rng)
    entry = header[names[int(rng.integers(len(names)))]]
    key = ("shape", "dtype", "data_offsets")[int(rng.integers(3))]
    entry[key] = {
        "shape": [[2**40], [2**62, 4], [-1], [0], [], [1] * 70, "x"],
        "dtype": ["F64", "I8", "BF16", "F8_E4M3", "X", None],
        "data_offsets": [[0, 2**40], [8, 0], [-1, 3], [0, 0], []],
    }[key][int(rng.integers(5))]
    encoded = json.dumps(header).encode()
    declared = len(encoded) if rng.random() < 0.8 else 2 ** int(rng.integers(64))
    file.write_bytes(declared.to_bytes(8, "little") + encoded + data[8 + size :])
    return Change(f"header of {declared} bytes: {key} = {entry[key]}")


EDITS: dict[str, tuple[Changer, ...]] = {
    ".json": (edit_json,),
    ".safetensors": (edit_notes, edit_notes, edit_notes, edit_tensors, safetensors_header),
    ".npy": (npy_header,),
    ".npz": (npz_members,),
    ".idx": (idx_header,),
    ".gz": (idx_header,) * 9 + (gzip_bomb,),
    ".png": (png_header,),
    ".csv": (csv_cell,),
}
