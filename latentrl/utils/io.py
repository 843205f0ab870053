"""Atomic writes of files, and reads that name a damaged one."""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

WRAPPERS = ("module", "_orig_mod")
"""Prefixes that DistributedDataParallel and torch.compile add to parameter names."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write`` with a temporary path beside ``path``, then rename that file to ``path``.

    A kill at any moment leaves the old file or the new one. The file gets the permissions that the
    user's umask gives to new files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        # Without the flush a power cut after the rename can leave an empty file.
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` atomically."""
    write_atomically(path, lambda temporary: _fill(temporary, data))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON atomically."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV atomically; the first one is the header."""

    def fill(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    write_atomically(path, fill)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def strip_prefixes(name: str) -> str:
    """Parameter name without the prefixes of DistributedDataParallel and torch.compile."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and JSON ``notes`` to one safetensors file atomically, with checksums."""
    kept = {
        strip_prefixes(name): tensor.detach().cpu().contiguous() for name, tensor in tensors.items()
    }
    header = {key: json.dumps(value) for key, value in notes.items()}
    header["header_crc32"] = _header_checksum(kept, header)
    header["crc32"] = str(_checksum(kept))
    write_atomically(path, lambda temporary: save_file(kept, temporary, header))


def read_tensors(path: Path, note: str) -> tuple[dict[str, Tensor], Any]:
    """Read the tensors and the note called ``note`` from a file of ``write_tensors``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or another program wrote it.
    """
    if not path.exists():
        raise FileNotFoundError(f"no model at {path.parent}: it has no {path.name}")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if note not in header:
        raise ValueError(f"{path} was not written by latentrl: its header has no {note!r}")
    intact = header.get("header_crc32") == _header_checksum(tensors, header)
    if not intact or header.get("crc32") != str(_checksum(tensors)):
        raise ValueError(f"{path} is damaged: its contents do not match their checksum")
    return tensors, json.loads(header[note])


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)  # POSIX has no call that only reads it
    os.umask(mask)
    return mask


def _header_checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    kinds = {name: f"{tensor.dtype} {list(tensor.shape)}" for name, tensor in tensors.items()}
    notes = {key: value for key, value in header.items() if key not in ("crc32", "header_crc32")}
    return str(zlib.crc32(json.dumps([kinds, notes], sort_keys=True).encode()))


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(name for name, tensor in tensors.items() if tensor.numel()):
        # As bytes, because NumPy has no bfloat16.
        data = tensors[name].reshape(-1).contiguous().view(torch.uint8)
        total = zlib.crc32(data.numpy().data, total)
    return total
