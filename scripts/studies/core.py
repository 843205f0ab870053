"""A study answers one question by metrics, tables and images, which are kept as JSON and PNG."""

from __future__ import annotations

import dataclasses
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from agents.runs import RUNS
from latentrl.types import Array
from latentrl.utils.io import read_json, write_bytes, write_json
from latentrl.utils.registry import Registry
from latentrl.viz.images import png

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = RUNS / "studies"
"""Folder of unfinished runs and of their encoders."""


@dataclass(frozen=True)
class Row:
    """One metric, beside its baselines and its goal."""

    metric: str
    """Name and unit of the metric."""
    value: float
    """Value of latentrl."""
    baselines: Mapping[str, float] = field(default_factory=dict)
    """Values of other methods on the same data, by name."""
    goal: str = ""
    """Condition on the value; empty without a goal."""
    reached: bool | None = None
    """Whether the value meets the goal; None without a goal."""


@dataclass(frozen=True)
class Table:
    """Metrics side by side."""

    caption: str
    """Contents and units."""
    columns: Sequence[str]
    """Heads of the columns; the first is that of the names of the rows."""
    rows: Sequence[Sequence[str]]
    """Cells, formatted."""


@dataclass(frozen=True)
class Study:
    """The answer to one question."""

    rows: Sequence[Row]
    """Metrics with goals."""
    tables: Sequence[Table] = ()
    """Further metrics."""
    images: Mapping[str, Array] = field(default_factory=dict)
    """RGB images uint8 ``(H, W, 3)`` by caption."""


Part = Callable[[], Study]
"""A function that runs one study; its docstring is the question."""


@dataclass(frozen=True)
class Subject(ABC):
    """A subject of studies; its fields are the flags of ``scripts/study.py NAME``."""

    page: bool = False
    """Write the page in docs/results from the results that exist, and run nothing."""

    @abstractmethod
    def run(self) -> None:
        """Run whatever has no result yet, and print the results."""

    @abstractmethod
    def write_page(self) -> Path:
        """Write the page and its images, and return its path."""


STUDIES: Registry[Subject] = Registry("study")


@dataclass(frozen=True)
class Result:
    """A part of a subject on disk: JSON in ``docs/results``, images in ``docs/images``."""

    folder: ClassVar[Path] = DOCS
    """Folder of ``results`` and ``images``."""
    subject: str
    """Name of the subject."""
    part: str
    """Name of the part."""

    @property
    def file(self) -> Path:
        """The JSON file."""
        return self.folder / "results" / self.subject / f"{self.part}.json"

    def image(self, number: int) -> Path:
        """Return the file of an image, which are numbered from 0."""
        return self.folder / "images" / self.subject / f"{self.part}-{number}.png"

    def compute(self, part: Part) -> Study:
        """Run ``part`` and keep what it returns, with its run time and its machine."""
        start = time.perf_counter()
        study = part()
        self.write(study, time.perf_counter() - start, machine())
        return study

    def write(self, study: Study, seconds: float, machine: str) -> None:
        """Write the images, then the JSON file, whose existence marks a finished part."""
        for number, image in enumerate(study.images.values()):
            write_bytes(self.image(number), png(image))
        data = dataclasses.asdict(dataclasses.replace(study, images={}))
        captions = list(study.images)
        write_json(self.file, {**data, "images": captions, "seconds": seconds, "machine": machine})

    def read(self) -> Study:
        """Return the study; ``FileNotFoundError`` without a result."""
        data = self._data()
        images = {
            caption: np.asarray(Image.open(self.image(number)))
            for number, caption in enumerate(data["images"])
        }
        rows = [Row(**row) for row in data["rows"]]
        return Study(rows, [Table(**table) for table in data["tables"]], images)

    @property
    def seconds(self) -> float:
        """Run time."""
        return float(self._data()["seconds"])

    @property
    def machine(self) -> str:
        """The machine of the run, as the function ``machine`` describes it."""
        return str(self._data()["machine"])

    def _data(self) -> dict[str, Any]:
        if not self.file.exists():
            command = f"python scripts/study.py {self.subject} --part {self.part}"
            raise FileNotFoundError(f"{self.part} has no result in {self.file}; run\n  {command}")
        data: dict[str, Any] = read_json(self.file)
        return data


def machine() -> str:
    """Return processor, threads, GPU and version of torch, on which rates and times depend."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{name}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"
