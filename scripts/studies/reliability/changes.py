"""Changes of files: damage to the bytes of any file, and edits of JSON and tensors inside one."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from latentrl.utils.io import write_tensors

SPARSE = 2**36
"""Bytes of a sparse file that takes no room on disk."""
LENGTHS = (
    *("frames", "epochs", "steps", "timesteps", "eval_every", "eval_episodes", "patience"),
    *("gradient_steps", "train_freq", "n_epochs", "max_episode_steps", "n_steps"),
)
"""Numbers whose larger value is a longer run, not a mistake."""
LARGEST_LENGTH = 1_000


@dataclass(frozen=True)
class Change:
    """What was done to a file."""

    text: str
    """The change in words, enough to repeat it by hand."""
    edit: bool = False
    """Whether checksums hold afterwards: the result may be a valid file with other contents."""
    refused: bool = False
    """Whether only an error is right, whatever the format."""
    cut: bool = False
    """Whether the end of the file is missing."""


Changer = Callable[[Path, np.random.Generator], Change]


def flip(file: Path, rng: np.random.Generator) -> Change:
    """Flip one bit."""
    data = bytearray(file.read_bytes())
    place, bit = int(rng.integers(len(data))), int(rng.integers(8))
    data[place] ^= 1 << bit
    file.write_bytes(data)
    return Change(f"bit {bit} of byte {place} flipped")


def overwrite(file: Path, rng: np.random.Generator) -> Change:
    """Overwrite up to 16 bytes by noise or zeros, most often near the start: the header."""
    data = bytearray(file.read_bytes())
    end = len(data) if rng.random() < 0.5 else min(len(data), 300)
    place, length = int(rng.integers(end)), int(rng.integers(1, 17))
    noise = rng.bytes(length) if rng.random() < 0.7 else bytes(length)
    data[place : place + length] = noise
    file.write_bytes(data)
    return Change(f"bytes from {place} overwritten by {noise.hex()}")


def truncate(file: Path, rng: np.random.Generator) -> Change:
    """Cut the file off."""
    length = int(rng.integers(file.stat().st_size))
    os.truncate(file, length)
    return Change(f"cut to {length} bytes", cut=True)


def append(file: Path, rng: np.random.Generator) -> Change:
    """Append noise."""
    length = int(rng.integers(1, 100))
    with file.open("ab") as opened:
        opened.write(rng.bytes(length))
    return Change(f"{length} bytes appended")


def move(file: Path, rng: np.random.Generator) -> Change:
    """Repeat a part of the file at another place."""
    data = file.read_bytes()
    first, second, place = (int(at) for at in rng.integers(len(data) + 1, size=3))
    file.write_bytes(data[:place] + data[first:second] + data[place:])
    return Change(f"bytes {first}:{second} repeated at {place}")


def replace(file: Path, rng: np.random.Generator) -> Change:
    """Replace the file by noise, by text or by nothing."""
    name, data = [
        ("noise", rng.bytes(100)),
        ("nothing", b""),
        ("text", b"hello\n"),
        ("a program's pickle", b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01."),
        ("nested lists", b"[" * 100_000),
        ("an empty object", b"{}"),
    ][int(rng.integers(6))]
    file.write_bytes(data)
    return Change(f"replaced by {name}")


def special(file: Path, rng: np.random.Generator) -> Change:
    """Replace the file by something that is no plain file."""
    choices: list[tuple[str, Callable[[], object]]] = [
        ("nothing: deleted", lambda: None),
        ("a folder", file.mkdir),
        ("a FIFO", lambda: os.mkfifo(file)),
        ("a link to itself", lambda: file.symlink_to(file)),
        ("a link to nothing", lambda: file.symlink_to(file.parent / "nothing")),
        ("a link to /dev/zero", lambda: file.symlink_to("/dev/zero")),
        ("a link to a sparse file of 64 GiB", lambda: file.symlink_to(sparse_file(file))),
    ]
    name, make = choices[int(rng.integers(len(choices)))]
    file.unlink()
    make()
    return Change(f"replaced by {name}", refused=True)


def make_sparse_file(path: Path) -> None:
    """Make a file of 64 GiB of zeros that takes no room on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, SPARSE)


def sparse_file(file: Path) -> Path:
    """Return the sparse file beside the samples: a worker may not write one of its size."""
    return next(p / "samples" / "sparse" for p in file.parents if (p / "samples").exists())


DAMAGE: tuple[Changer, ...] = (flip, flip, overwrite, overwrite, truncate, append, move, replace)
"""Changes of any file; the frequent ones are listed twice."""


def edit_json(file: Path, rng: np.random.Generator) -> Change:
    """Edit one value of a JSON file."""
    tree, text = edited(json.loads(file.read_text()), rng)
    file.write_text(json.dumps(tree))
    return Change(text, edit=True)


def edit_notes(file: Path, rng: np.random.Generator) -> Change:
    """Edit one value of the JSON in a safetensors file, and write valid checksums."""
    tensors, notes = read_safetensors(file)
    name = sorted(notes)[int(rng.integers(len(notes)))]
    notes[name], text = edited(notes[name], rng)
    write_tensors(file, tensors, notes)
    return Change(f"{name}: {text}", edit=True)


def edit_tensors(file: Path, rng: np.random.Generator) -> Change:
    """Edit one tensor of a safetensors file, and write valid checksums."""
    tensors, notes = read_safetensors(file)
    if not tensors:
        return edit_notes(file, rng)
    name = sorted(tensors)[int(rng.integers(len(tensors)))]
    tensor = tensors.pop(name)
    edit, edits = "", _tensor_edits(name, tensor)
    edit = sorted(edits)[int(rng.integers(len(edits)))]
    tensors |= edits[edit]
    write_tensors(file, tensors, notes)
    broken = edit in ("NaN", "infinity") and tensor.is_floating_point() and tensor.numel() > 0
    return Change(f"tensor {name}: {edit}", edit=True, refused=broken and _has_weights(file))


def _has_weights(file: Path) -> bool:
    return file.name in ("model.safetensors", "agent.safetensors")


def _tensor_edits(name: str, tensor: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    filled = tensor.clone()
    edits = {
        "deleted": {},
        "renamed": {f"{name}.other": tensor},
        "flattened": {name: tensor.reshape(-1)},
        "one more dimension": {name: tensor[None]},
        "empty": {name: tensor.reshape(-1)[:0]},
        "as int64": {name: tensor.to(torch.int64)},
        "as float64": {name: tensor.to(torch.float64)},
        "as bool": {name: tensor.to(torch.bool)},
        "longer": {name: torch.cat([tensor.reshape(-1)] * 3)},
        "beside an unknown one": {name: tensor, "unknown": torch.zeros(3)},
    }
    if tensor.is_floating_point():
        edits["NaN"] = {name: torch.full_like(filled, torch.nan)}
        edits["infinity"] = {name: torch.full_like(filled, torch.inf)}
    return {edit: result for edit, result in edits.items() if not _same(result, name, tensor)}


def _same(result: Mapping[str, torch.Tensor], name: str, tensor: torch.Tensor) -> bool:
    if list(result) != [name]:
        return False
    edited_tensor = result[name]
    return edited_tensor.dtype == tensor.dtype and torch.equal(edited_tensor, tensor)


def read_safetensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and the JSON notes of a file that ``write_tensors`` wrote."""
    with safe_open(file, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        header = opened.metadata()
    return tensors, {key: json.loads(value) for key, value in header.items() if "crc32" not in key}


VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 7, 0.5, -1e308, 1e308, 10**9, 10**12, 2**63, 10**30),
    *(float("nan"), float("inf"), "", "x", "x" * 5_000, "/etc/passwd", "../../outside", "a\0b"),
    *("os:getcwd", "object", "O", "float64", [], {}, [[]], [1, 2], [-1, 3], [10**6, 10**6]),
    *([2**40], [None], {"name": "conv"}, {"a": {"b": 1}}, {"id": 3}),
)
"""Values that replace another one."""


def edited(tree: Any, rng: np.random.Generator) -> tuple[Any, str]:
    """Return a copy of a JSON value with one value changed, and the change in words."""
    places = list(_places(tree))
    if not places:
        return VALUES[int(rng.integers(len(VALUES)))], "the whole replaced"
    place = places[int(rng.integers(len(places)))]
    changed = copy.deepcopy(tree)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    edit = _edit(parent, place[-1], rng)
    if changed == tree:  # such as 0 that is multiplied
        return edited(tree, rng)
    return changed, f"{'.'.join(map(str, place))} {edit}"


def _places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if not isinstance(tree, dict | list):
        return
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield (*above, key)
        yield from _places(value, (*above, key))


def _edit(parent: Any, key: Any, rng: np.random.Generator) -> str:
    kind = rng.integers(10)
    if kind == 0:
        del parent[key]
        return "deleted"
    if kind == 1 and isinstance(parent, dict):
        parent[f"{key}_unknown"] = parent.pop(key)
        return "renamed"
    if kind == 2:
        parent[key] = _nested(400)
        return "replaced by 400 nested lists"
    if kind == 3 and _is_number(parent[key]):
        parent[key] = parent[key] + 1
        return f"raised to {parent[key]}"
    parent[key] = _value_for(key, rng)
    return f"= {json.dumps(parent[key])[:60]}"


def _value_for(key: Any, rng: np.random.Generator) -> Any:
    value = VALUES[int(rng.integers(len(VALUES)))]
    if key in LENGTHS and _is_number(value) and not value < LARGEST_LENGTH:
        return -7
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nested(depth: int) -> Any:
    tree: Any = []
    for _ in range(depth):
        tree = [tree]
    return tree


def link_outside(file: Path, outside: Path) -> Change:
    """Replace the file by a link to a file of the same size with other contents."""
    size = file.stat().st_size
    outside.write_bytes(b"\1" * size)
    file.unlink()
    file.symlink_to(outside)
    return Change("replaced by a link to another file of its size", refused=True)


def foreign(file: Path, others: Path, rng: np.random.Generator) -> Change:
    """Replace the file by one of the files below ``others``: of another format, or foreign."""
    files = sorted(path for path in others.rglob("*") if path.is_file() and path.name != "sparse")
    chosen = files[int(rng.integers(len(files)))]
    shutil.copyfile(chosen, file)
    same_name = chosen.name == file.name
    return Change(f"replaced by {chosen.relative_to(others)}", edit=same_name)
