"""Atomic writes of files, and reads that name a damaged one."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import json
import os
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

WRAPPERS = ("module", "_orig_mod")
"""Prefixes that DistributedDataParallel and torch.compile add to parameter names."""
MAX_JSON_BYTES = 2**26
MAX_DEPTH = 64
"""Most lists and mappings inside one another in a JSON file."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write`` with a temporary path beside ``path``, then rename that file to ``path``.

    A kill at any moment leaves the old file or the new one. The file gets the permissions that the
    user's umask gives to new files.

    Raises:
        OSError: the file cannot be written; the old one is unchanged.
    """
    with _written(path, write) as temporary:
        temporary.replace(path)


def write_new(path: Path, data: bytes) -> bool:
    """Write ``data`` as ``write_bytes`` does, unless there is a file at ``path`` already.

    Of several processes that do this at once, one makes the file.

    Returns:
        Whether this call made the file.

    Raises:
        OSError: the file cannot be written.
    """
    with _written(path, lambda temporary: _fill(temporary, data)) as temporary:
        try:
            os.link(temporary, path)  # unlike a rename it replaces nothing
        except FileExistsError:
            return False
        except OSError:  # the file system has no hard links
            return _create(path, data)
    return True


def _create(path: Path, data: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def _written(path: Path, write: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that ``write`` has filled; delete it at the end."""
    owner = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{owner}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        temporary.touch()
        mode = temporary.stat().st_mode  # the user's umask; other libraries write private files
        write(temporary)
        # Without the flush a power cut after the rename can leave an empty file.
        _flush(temporary)
        temporary.chmod(mode)
        yield temporary
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path} cannot be written, and is as it was before: {reason}"
        raise OSError(getattr(error, "errno", None) or errno.EIO, message) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of processes of this machine that were killed as they wrote."""
    for leftover in folder.glob(f".*.{glob.escape(socket.gethostname())}-*.tmp"):
        process = leftover.name.split("-")[-2]
        if process.isdecimal() and not _is_alive(int(process)):
            leftover.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 would end the process there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or no process number at all
        return True
    return True


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
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or huge, or is a folder, a pipe or a device.
    """
    check_file(path)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"{path} is damaged: it has more than {MAX_JSON_BYTES:,} bytes")
    return parse_json(path.read_bytes(), str(path))


def parse_json(text: bytes | str, where: str) -> Any:
    """Parse JSON of up to ``MAX_DEPTH`` nested lists and mappings.

    Raises:
        ValueError: it is not JSON, or nested more deeply; the message begins with ``where``.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is damaged: {error}") from error
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [item for value in level for item in _items(value)]
        if not level:
            return data
    raise ValueError(f"{where} is damaged: it nests values more than {MAX_DEPTH} deep")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def check_file(path: Path) -> None:
    """Check that ``path`` leads to a regular file, which can be read without waiting.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is a folder, a pipe, a socket or a device.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file():
        raise ValueError(f"{path} is not a file, but a folder, a pipe, a socket or a device")


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
    check_file(path)
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
    return tensors, parse_json(header[note], f"{note!r} in the header of {path}")


def name_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinity, None where there is none."""
    floats = ((name, tensor) for name, tensor in tensors.items() if tensor.is_floating_point())
    return next((name for name, tensor in floats if not tensor.isfinite().all()), None)


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


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
