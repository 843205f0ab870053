"""Parts of a checkpoint in files of their own, which carry the checkpoint's stamp."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from latentrl.types import shorten
from latentrl.utils.decoding import decode
from latentrl.utils.io import read_tensors, write_tensors

PARTS = ("replay", "novelty", "good_episodes")
Part = tuple[Mapping[str, Tensor], dict[str, Any]]
"""Tensors of a part, and notes in JSON."""


def check_stamp(notes: Mapping[str, Any]) -> None:
    """Check what the notes of a checkpoint say of its parts.

    Raises:
        ValueError: the stamp is no hexadecimal number, and so could name a file elsewhere.
    """
    stamp: str | None = decode(str | None, notes.get("stamp"), "its stamp")
    if stamp is not None:
        if re.fullmatch("[0-9a-f]{32}", stamp) is None:
            raise ValueError(f"its stamp is a hexadecimal number, got {shorten(stamp)}")
        decode(list[str], notes.get("parts"), "its parts")


def write_parts(folder: Path, stamp: str, parts: Mapping[str, Part]) -> None:
    """Write each part to a file with ``stamp`` in its name and in its notes."""
    for name, (tensors, notes) in parts.items():
        write_tensors(part_file(folder, name, stamp), tensors, {name: {**notes, "stamp": stamp}})


def has_part(folder: Path, notes: Mapping[str, Any], name: str) -> bool:
    """Return whether the checkpoint in ``folder``, with these notes, has a part called ``name``."""
    stamp = notes.get("stamp")
    return part_file(folder, name, stamp).exists() if stamp is None else name in notes["parts"]


def read_part(folder: Path, notes: Mapping[str, Any], name: str) -> Part:
    """Read a part of the checkpoint in ``folder``, with these notes.

    Raises:
        FileNotFoundError: its file is missing.
        ValueError: it is damaged, or belongs to another checkpoint.
    """
    stamp = notes.get("stamp")
    file = part_file(folder, name, stamp)
    if not file.is_file():
        raise FileNotFoundError(
            f"the checkpoint in {folder} is incomplete: it has no {file.name}; copy the whole "
            "folder again, or use another checkpoint of the run"
        )
    tensors, own = read_tensors(file, name)
    own = decode(dict[str, Any], own, f"the header of {file}")
    if own.get("stamp") != stamp:
        raise ValueError(
            f"{file} belongs to another checkpoint than the agent beside it; copy the whole folder "
            "again, or use another checkpoint of the run"
        )
    return tensors, own


def remove_other_parts(folder: Path, stamp: str) -> None:
    """Remove the parts of older checkpoints, and what a killed process left of a newer one."""
    kept = {part_file(folder, name, stamp) for name in PARTS}
    for name in PARTS:
        for file in (*folder.glob(f"{name}*.safetensors"), *folder.glob(f".{name}*.tmp")):
            if file not in kept:
                file.unlink(missing_ok=True)


def part_file(folder: Path, name: str, stamp: str | None) -> Path:
    """File of a part; checkpoints of format 2 have no stamp."""
    return folder / (f"{name}.safetensors" if stamp is None else f"{name}-{stamp}.safetensors")
