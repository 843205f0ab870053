"""Base class of the verbs, the folder of their results, and ``perform``, which runs one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.training.checkpoint import load
from latentrl.types import Array
from latentrl.utils.hub import is_reference
from latentrl.utils.io import write_atomically, write_bytes, write_csv, write_json
from latentrl.utils.registry import Registry
from latentrl.viz.figures import Figure, figure_png, require_matplotlib

Metrics = dict[str, Any]
"""Results by name; a name ends with the unit where there is one."""


class Output:
    """Folder of results: complete files only, a list of them, and notes to print."""

    def __init__(self, folder: Path, model: Autoencoder) -> None:
        """Write to ``folder``, which is created with the first file."""
        self.folder, self.files, self.notes = folder, list[Path](), list[str]()
        self.moving = is_image(model.observation_space)
        """Whether GIFs can be made."""

    def _add(self, name: str) -> Path:
        self.files.append(self.folder / name)
        return self.folder / name

    def array(self, name: str, array: Array) -> Path:
        """Write an ``.npy`` file and return its path."""
        return self._stream(name, [array], array.shape, array.dtype)

    def stream(self, name: str, batches: Iterable[Array], count: int, space: spaces.Box) -> Path:
        """Write ``count`` elements of ``space``, batch by batch, as ``.npy``; return its path."""
        return self._stream(name, batches, (count, *space.shape), space.dtype)

    def _stream(
        self, name: str, batches: Iterable[Array], shape: tuple[int, ...], dtype: Any
    ) -> Path:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }

        # np.save needs the whole array; a header and batches after it make the same file.
        def fill(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for batch in batches:
                    file.write(np.ascontiguousarray(batch, dtype).data)

        write_atomically(self.folder / name, fill)
        return self._add(name)

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write a CSV file with a header."""
        write_csv(self.folder / name, [columns, *rows])
        self._add(name)

    def json(self, name: str, data: Any) -> None:
        """Write a JSON file."""
        write_json(self.folder / name, data)
        self._add(name)

    def figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG."""
        write_bytes(self.folder / name, figure_png(figure))
        self._add(name)

    def movie(self, name: str, movie: Callable[[], bytes]) -> None:
        """Write the GIF that ``movie()`` returns; without images, add a note instead."""
        if self.moving:
            write_bytes(self.folder / name, movie())
            self._add(name)
        else:
            self.notes.append(f"not written: {name}, which needs images")


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One use of a trained model: its fields are the flags, its docstring is the help text."""

    model: Path
    """Folder of a trained model, or hf://user/name on the Hugging Face Hub."""
    out: Path | None = None
    """Folder of the results. Default: MODEL/VERB."""
    seed: int = 0
    """Seed of every random choice."""
    device: str = "auto"
    """Device of the model; auto means the GPU if there is one."""

    def check(self, model: Autoencoder) -> None:
        """Raise ``TypeError`` if ``model`` does not fit the verb: here, if it has no decoder."""
        model.decode(np.zeros(model.latent_dim, np.float32))

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write the results to ``output`` and return the metrics."""
        raise NotImplementedError


VERBS: Registry[Verb] = Registry("verb")
"""Verbs by name: dataclasses of flags."""


def at_least(minimum: int, **numbers: int) -> None:
    """Raise ``ValueError`` for the first flag below ``minimum``."""
    for name, number in numbers.items():
        if number < minimum:
            raise ValueError(f"--{name} must be at least {minimum}, got {number}")


def verbs() -> Iterator[tuple[str, type[Verb]]]:
    """Iterate over the names and classes of the verbs."""
    for name in VERBS:
        verb = VERBS[name]
        assert isinstance(verb, type)
        yield name, verb


@dataclass(frozen=True)
class Report:
    """Results of a verb."""

    verb: str
    """Name of the verb."""
    model: Autoencoder
    """The model that was used."""
    metrics: Metrics = field(default_factory=dict)
    """Metrics, as in ``metrics.json``."""
    files: list[Path] = field(default_factory=list)
    """Files that were written."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the user."""


def perform(verb: Verb) -> Report:
    """Load the model, check that it fits the verb, run the verb and write its metrics.

    Raises:
        ValueError: the model does not fit the verb, a flag or the data are invalid, or a model of
            the Hub has no folder for the results.
        FileNotFoundError: the model or the data are missing.
        ImportError: matplotlib is missing.
    """
    require_matplotlib()  # not after minutes of work, when the first figure is drawn
    if verb.out is None and is_reference(verb.model):
        raise ValueError(f"{verb.model} is no folder to write to: choose one with --out")
    model = load(verb.model, verb.device)
    try:
        verb.check(model)
    except TypeError as error:
        raise ValueError(str(error)) from error
    name = next(name for name, kind in verbs() if kind is type(verb))
    output = Output(verb.out or verb.model / name, model)
    metrics = verb.run(model, output)
    if metrics:
        output.json("metrics.json", metrics)
    return Report(name, model, metrics, output.files, output.notes)
