"""A study: one question about the autoencoders, with its figures, tables and pictures, kept on
disk.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from agents.runs import RUNS
from latentrl.types import Array
from latentrl.utils.io import read_json, write_atomically, write_json
from latentrl.utils.registry import Registry
from latentrl.viz.images import png

FOLDER = RUNS / "benchmarks" / "autoencoders"


@dataclass(frozen=True)
class Row:
    """One figure and what it is held against."""

    what: str
    """The figure, with its unit."""
    ours: float
    """What latentrl reached."""
    others: Mapping[str, float] = field(default_factory=dict)
    """What others reached on the same data, by name."""
    goal: str = ""
    """What it was to reach; empty where it is told for information."""
    reached: bool | None = None
    """Whether it did; None without a goal."""


@dataclass(frozen=True)
class Table:
    """Figures that belong side by side."""

    caption: str
    """What it shows."""
    columns: Sequence[str]
    """Heads of the columns, that of the rows' names first."""
    rows: Sequence[Sequence[str]]
    """Cells, ready to print."""


@dataclass(frozen=True)
class Study:
    """The answer."""

    rows: Sequence[Row]
    """Figures with goals."""
    tables: Sequence[Table] = ()
    """Further figures."""
    pictures: Mapping[str, Array] = field(default_factory=dict)
    """RGB pictures by caption."""


Method = Callable[[], Study]

STUDIES: Registry[Study] = Registry("study")


def run(name: str, fresh: bool = False) -> Study:
    """Return the study called ``name``, from disk unless ``fresh`` or not yet there.

    Raises:
        ValueError: there is no such study.
    """
    method, file = STUDIES[name], FOLDER / name / "study.json"
    if file.exists() and not fresh:
        return _read(file)
    start = time.perf_counter()
    study = method()
    _write(study, file, time.perf_counter() - start)
    return study


def question(name: str) -> str:
    """Return what the study asks: the docstring of its function."""
    return " ".join((STUDIES[name].__doc__ or "").split())


def seconds(name: str) -> float:
    """Return how long the study took."""
    return float(read_json(FOLDER / name / "study.json")["seconds"])


def made_on(name: str) -> str:
    """Return the machine that made the study, as ``machine`` names it."""
    return str(read_json(FOLDER / name / "study.json")["machine"])


def machine() -> str:
    """Return what a figure of speed depends on: processor, cores, versions."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    name = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{name}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"


def _write(study: Study, file: Path, duration: float) -> None:
    for number, picture in enumerate(study.pictures.values()):
        write_atomically(
            file.parent / f"{number}.png", functools.partial(_write_bytes, png(picture))
        )
    data = dataclasses.asdict(dataclasses.replace(study, pictures={}))
    write_json(
        file, {**data, "captions": list(study.pictures), "seconds": duration, "machine": machine()}
    )


def _write_bytes(data: bytes, file: Path) -> None:
    file.write_bytes(data)


def _read(file: Path) -> Study:
    data: dict[str, Any] = read_json(file)
    pictures = {
        caption: _read_png(file.parent / f"{i}.png") for i, caption in enumerate(data["captions"])
    }
    rows, tables = (
        [Row(**row) for row in data["rows"]],
        [Table(**table) for table in data["tables"]],
    )
    return Study(rows, tables, pictures)


def _read_png(file: Path) -> Array:
    return np.asarray(Image.open(file))
