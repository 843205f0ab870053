"""Observations for a model, in batches, with their labels, and how far two of them are apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentrl import Frames, as_frames
from latentrl.cli.base import Verb
from latentrl.data.readers import IMAGE_SUFFIXES, ImageFolder, open_source, read_labels
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import ImagePreprocessor, VectorPreprocessor, is_image
from latentrl.types import Array, describe_space
from latentrl.utils.progress import progress_bar

BATCH = 256
LONG = 8 * BATCH
"""More observations than this get a progress bar."""

Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DataVerb(Verb):
    """A use of a model on observations."""

    data: Path
    """Observations: a store, .npy, .npz, IDX (also .gz), an image, or a folder of images."""


def open_data(path: Path, model: Autoencoder) -> Frames:
    """Open observations for ``model``; images in files are brought to its size and colours.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: they are of another kind than the model's.
    """
    space = model.observation_space
    frames = _images(path, model) or as_frames(path)
    if frames.space.shape != space.shape or frames.space.dtype != space.dtype:
        raise ValueError(
            f"the model takes observations of {describe_space(space)}, {path} holds {describe_space(frames.space)}"
        )
    return frames


def _images(path: Path, model: Autoencoder) -> Frames | None:
    space, folder = model.observation_space, path.is_dir() and not (path / "manifest.json").exists()
    files = folder or (path.exists() and path.suffix.lower() in IMAGE_SUFFIXES)
    if (
        not files
        or not is_image(space)
        or space.dtype != np.uint8
        or space.shape[2:] not in ((), (3,))
    ):
        return None
    source = open_source(path)
    assert isinstance(source, ImageFolder)
    source.size, source.greyscale = (space.shape[0], space.shape[1]), len(space.shape) == 2
    return Frames(space, [source], np.arange(len(source)), metadata={"source": str(path)})


def open_labels(path: Path, frames: Frames, column: int | None = None) -> Labels | None:
    """Return the classes ``(N,)`` or the factors ``(N, F)`` that come with ``frames``; None where
    none do.

    Args:
        path: what the frames were read from, or a file of labels.
        frames: the observations.
        column: the factor to return, as ``(N,)``.

    Raises:
        ValueError: there are more or fewer than observations, or no such column.
    """
    labels = read_labels(path)
    if labels is None:
        return None
    if len(labels) != len(frames):
        raise ValueError(f"{path} has {len(labels)} labels for {len(frames)} observations")
    return labels if column is None else _column(labels, column, path)


def _column(labels: Labels, column: int, path: Path) -> Labels:
    factors = labels.reshape(len(labels), -1)
    if not 0 <= column < factors.shape[1]:
        raise ValueError(f"{path} has factors 0 to {factors.shape[1] - 1}, not {column}")
    return factors[:, column]


def classes(path: Path, frames: Frames, column: int | None = None) -> Labels | None:
    """Return one label of each observation, ``(N,)``, as ``open_labels`` does.

    Raises:
        ValueError: there are several factors, and ``column`` does not say which to take.
    """
    labels = open_labels(path, frames, column)
    if labels is not None and labels.ndim > 1 and labels.shape[1] > 1:
        raise ValueError(
            f"{path} has {labels.shape[1]} factors: choose one by --factor 0 to {labels.shape[1] - 1}"
        )
    return None if labels is None else labels.reshape(len(labels))


def spread(frames: Frames | Array, count: int) -> Array:
    """Return the positions of up to ``count`` observations, from the middles of equal stretches."""
    count = min(count, len(frames))
    positions: Array = ((np.arange(count) + 0.5) * len(frames) / count).astype(int)
    return positions


def in_batches(
    frames: Frames, doing: str, function: Callable[[Array], Array] = np.asarray
) -> Iterator[Array]:
    """Yield ``function`` of all observations in order, with a progress bar where there are many."""
    with progress_bar(len(frames), 0, doing, "observation", len(frames) > LONG) as bar:
        for start in range(0, len(frames), BATCH):
            batch = frames[start : start + BATCH]
            yield function(batch)
            bar.update(len(batch))


def map_all(frames: Frames, doing: str, function: Callable[[Array], Array]) -> Array:
    """Return ``function`` of all observations as one array."""
    return np.concatenate(list(in_batches(frames, doing, function)))


class Meter:
    """Mean squared errors by name, in the network's units, gathered batch by batch."""

    def __init__(self, model: Autoencoder) -> None:
        """Measure in the units of ``model``."""
        self.model = model
        self.sums: dict[str, Array] = {}

    def add(self, name: str, a: Array, b: Array, where: Array | None = None) -> None:
        """Count the differences of two batches in the environment's units, everywhere or ``where``
        that is True.
        """
        error = np.square(_network_units(self.model, a) - _network_units(self.model, b))
        counted = np.broadcast_to(np.True_ if where is None else where, error.shape)
        total = np.array([error.sum(where=counted, dtype=np.float64), counted.sum()])
        self.sums[name] = self.sums.get(name, 0) + total

    def figures(self) -> dict[str, float]:
        """Return what ``quality`` says of each."""
        figures: dict[str, float] = {}
        for name, (total, count) in self.sums.items():
            figures |= quality(self.model, name, total / count) if count else {}
        return figures


def by_value(holes: Array, observations: Array) -> Array:
    """Return holes ``(B, H, W)`` with the channel axis that the observations have."""
    return holes[..., None] if holes.ndim < observations.ndim else holes


def _network_units(model: Autoencoder, array: Array) -> Array:
    pre = model.preprocess
    scaled: Array
    if isinstance(pre, ImagePreprocessor):
        scaled = array.astype(np.float32) / (pre.high - pre.low)
    else:
        assert isinstance(pre, VectorPreprocessor)
        scaled = array.astype(np.float32) / pre.std.cpu().numpy()
    return scaled


def quality(model: Autoencoder, of: str, error: float) -> dict[str, float]:
    """Name what a mean squared error in the network's units means: PSNR of images, else its
    root.
    """
    if is_image(model.observation_space):
        return {f"PSNR, {of}, dB": -10 * float(np.log10(max(error, 1e-12)))}
    return {f"error, {of}, standard deviations": float(np.sqrt(error))}
