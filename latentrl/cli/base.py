"""What every verb has: its flags, a model that can do it, and a folder for what it makes."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl import load
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.types import Array
from latentrl.utils.io import write_atomically, write_json
from latentrl.utils.registry import Registry
from latentrl.viz.images import png

Figures = dict[str, Any]
"""Names with their units, and numbers: what a verb found."""


class Output:
    """A folder that gets whole files or none, a list of them, and notes to print.

    Movies of models that do not encode images are left out.
    """

    def __init__(self, folder: Path, model: Autoencoder) -> None:
        """Write to ``folder``, which is made with the first file."""
        self.folder, self.files, self.notes = folder, list[Path](), list[str]()
        self.moving = is_image(model.observation_space)

    def write(self, name: str, write: Callable[[Path], None]) -> Path:
        """Let ``write`` fill a temporary file that is then renamed to ``name``; return its path."""
        write_atomically(self.folder / name, write)
        self.files.append(self.folder / name)
        return self.folder / name

    def array(self, name: str, array: Array) -> Path:
        """Write an ``.npy`` file."""
        return self.write(
            name, functools.partial(_stream, batches=[array], shape=array.shape, dtype=array.dtype)
        )

    def stream(self, name: str, batches: Iterable[Array], count: int, space: spaces.Box) -> Path:
        """Write an ``.npy`` file of ``count`` elements of a space that need not fit in memory,
        batch by batch.
        """
        shape = (count, *space.shape)
        return self.write(
            name, functools.partial(_stream, batches=batches, shape=shape, dtype=space.dtype)
        )

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
        """Write a CSV file with a header."""
        return self.write(name, functools.partial(_table, rows=[columns, *rows]))

    def json(self, name: str, data: Any) -> None:
        """Write a JSON file."""
        write_json(self.folder / name, data)
        self.files.append(self.folder / name)

    def picture(self, name: str, image: Callable[[], Array]) -> None:
        """Write the RGB picture that ``image()`` returns as PNG."""
        self.write(name, lambda file: _bytes(file, png(image())))

    def movie(self, name: str, movie: Callable[[], bytes]) -> None:
        """Write the encoded GIF that ``movie()`` returns, of images; of others, say that there is
        none.
        """
        if self.moving:
            self.write(name, lambda file: _bytes(file, movie()))
        else:
            self.notes.append(f"no picture: {name}, which only images have")


def _stream(file: Path, batches: Iterable[Array], shape: tuple[int, ...], dtype: Any) -> None:
    with file.open("wb") as stream:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(stream, header)
        for batch in batches:
            stream.write(np.ascontiguousarray(batch, dtype).data)


def _table(file: Path, rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def _bytes(file: Path, data: bytes) -> None:
    file.write_bytes(data)


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One use of a trained model: its flags are the fields, its docstring is its help."""

    model: Path
    """Folder of a trained model."""
    out: Path | None = None
    """Folder for the results; MODEL/VERB where not given."""
    seed: int = 0
    """Seed of every random choice."""
    device: str = "auto"
    """auto is the GPU where there is one."""

    def check(self, model: Autoencoder) -> None:
        """Raise ``TypeError`` where the model cannot do this, before any work; here, one without a
        decoder.
        """
        model.decode(np.zeros(model.latent_dim, np.float32))

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Do it and write what came of it."""
        raise NotImplementedError


VERBS: Registry[Verb] = Registry("verb")


def at_least(minimum: int, **numbers: int) -> None:
    """Raise ``ValueError`` for a flag that is below ``minimum``, by its name."""
    for name, number in numbers.items():
        if number < minimum:
            raise ValueError(f"{name} must be at least {minimum}, got {number}")


def verbs() -> Iterator[tuple[str, type[Verb]]]:
    """Iterate over the verbs by name."""
    for name in VERBS:
        verb = VERBS[name]
        assert isinstance(verb, type)
        yield name, verb


@dataclass(frozen=True)
class Report:
    """What a verb did."""

    verb: str
    """Its name."""
    model: Autoencoder
    """With what."""
    figures: Figures = field(default_factory=dict)
    """What it found."""
    files: list[Path] = field(default_factory=list)
    """What it wrote."""
    notes: list[str] = field(default_factory=list)
    """What else is to be known."""


def perform(verb: Verb) -> Report:
    """Load the model, check that it can do what is asked, do it, and write the figures beside the
    rest.

    Raises:
        ValueError: the model cannot do this, or a flag or the data do not fit.
        FileNotFoundError: there is no model, or no data.
    """
    model = load(verb.model, verb.device)
    try:
        verb.check(model)
    except TypeError as error:
        raise ValueError(str(error)) from error
    name = next(name for name, kind in verbs() if kind is type(verb))
    output = Output(verb.out or verb.model / name, model)
    figures = verb.run(model, output)
    if figures:
        output.json("figures.json", figures)
    return Report(name, model, figures, output.files, output.notes)
