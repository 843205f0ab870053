"""Observations and labels for the verbs, read in batches, and errors between two batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentrl.cli.base import Metrics, Verb
from latentrl.data.checks import first_not_finite
from latentrl.data.frames import Frames, as_frames
from latentrl.data.readers import read_labels
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import ImagePreprocessor, is_image
from latentrl.models.stored import check_stored
from latentrl.models.vectors import VectorPreprocessor
from latentrl.training.health import Health, psnr
from latentrl.types import Array, describe_space, same_kind
from latentrl.utils.progress import progress_bar

BATCH = 256
LONG = 8 * BATCH
"""More observations than this get a progress bar."""

Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DataVerb(Verb):
    """A use of a model on observations."""

    data: Path
    """Observations: a store, .npy, .npz, IDX (also .gz), .csv, .tsv, .parquet, an image, or a
    folder of images."""
    array: str | None = None
    """Name of the array in an .npz of several."""
    window: int | None = None
    """Cut one series (N,) or (N, D) into sequences of this many steps."""
    stride: int = 1
    """Steps from the start of one sequence to that of the next."""

    def read(self, path: Path, model: Autoencoder) -> Frames:
        """Open observations at ``path`` by the flags; errors as in ``open_data``."""
        return open_data(path, model, array=self.array, window=self.window, stride=self.stride)

    def read_complete(self, path: Path, model: Autoencoder) -> Frames:
        """Return what ``read`` does; ``ValueError`` where a value is missing."""
        frames = self.read(path, model)
        _refuse_missing(frames, path)
        return frames


def open_data(path: Path, model: Autoencoder, **reading: Any) -> Frames:
    """Open observations for ``model``; image files are converted to its size and colours.

    Args:
        path: the observations.
        model: the model that takes them.
        **reading: ``array``, ``window`` and ``stride`` of ``as_frames``.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the observations do not belong to the model's observation space.
    """
    space = model.observation_space
    frames = as_frames(path, space=space, **reading)
    given = frames.observation_space
    if not same_kind(given, space):
        raise ValueError(
            f"the model takes observations of {describe_space(space)}, "
            f"{path} holds {describe_space(given)}"
        )
    check_stored(frames, model)
    return frames


def _refuse_missing(frames: Frames, path: Path) -> None:
    # Later stages get batches or a random subset, whose rows are not those of the file.
    first = 0
    for batch in frames.batches(BATCH) if frames.observation_space.dtype.kind == "f" else ():
        row = first_not_finite(batch)
        if row is not None:
            raise ValueError(
                f"{path} contains NaN or infinity, first in observation {first + row}: "
                "drop such observations, or fill NaN by 'inpaint'"
            )
        first += len(batch)


def open_labels(path: Path, frames: Frames, column: int | None = None) -> Labels | None:
    """Return the labels ``(N,)`` or factors ``(N, F)`` of ``frames``; None if there are none.

    Args:
        path: file of the frames, or a file of labels.
        frames: the observations.
        column: index of the one factor to return, as ``(N,)``.

    Raises:
        ValueError: there are more or fewer labels than frames, or there is no such column.
    """
    cut = "window" in frames.metadata and frames.metadata["source"] == str(path)
    labels = None if cut else read_labels(path)  # sequences have no labels in their own series
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
    """Return one label for each frame, ``(N,)``, as ``open_labels`` does.

    Raises:
        ValueError: there are several factors and ``column`` does not select one.
    """
    labels = open_labels(path, frames, column)
    if labels is not None and labels.ndim > 1 and labels.shape[1] > 1:
        raise ValueError(
            f"{path} has {labels.shape[1]} factors: "
            f"select one with --factor 0 to {labels.shape[1] - 1}"
        )
    return None if labels is None else labels.reshape(len(labels))


def positions(wanted: Sequence[int], frames: Frames) -> list[int]:
    """Return positions in ``frames``; negative ones count from the end.

    Raises:
        ValueError: a position is outside of the data.
    """
    for index in wanted:
        if not -len(frames) <= index < len(frames):
            raise ValueError(f"there is no observation {index}: the data has {len(frames)}, from 0")
    return [index % len(frames) for index in wanted]


def in_batches(
    frames: Frames, doing: str, function: Callable[[Array], Array] = np.asarray
) -> Iterator[Array]:
    """Yield ``function(batch)`` for all observations in order; long data get a progress bar."""
    with progress_bar(len(frames), 0, doing, "observation", len(frames) > LONG) as bar:
        for batch in frames.batches(BATCH):
            yield function(batch)
            bar.update(len(batch))


def map_all(frames: Frames, doing: str, function: Callable[[Array], Array]) -> Array:
    """Return ``function`` of all observations as one array."""
    return np.concatenate(list(in_batches(frames, doing, function)))


class Errors:
    """Mean squared errors by name, accumulated over batches, in the network's units."""

    def __init__(self, model: Autoencoder) -> None:
        """Measure in the units of ``model``."""
        self.model = model
        self.sums: dict[str, Array] = {}

    def add(self, name: str, a: Array, b: Array, where: Array | None = None) -> None:
        """Add the errors between two batches in the environment's units, where the mask is True."""
        error = np.square(_network_units(self.model, a) - _network_units(self.model, b))
        # Sum and count, not means: the mean of batch means is wrong for masks of unequal size.
        counted = np.broadcast_to(np.True_ if where is None else where, error.shape)
        total = np.array([error.sum(where=counted, dtype=np.float64), counted.sum()])
        self.sums[name] = self.sums.get(name, 0) + total

    def metrics(self) -> Metrics:
        """Return ``fidelity`` of each name."""
        metrics: Metrics = {}
        for name, (total, count) in self.sums.items():
            metrics |= fidelity(self.model, name, total / count) if count else {}
        return metrics


def _network_units(model: Autoencoder, array: Array) -> Array:
    # The offset of the preprocessing cancels in a difference, so that only its scale is applied.
    pre = model.preprocess
    scaled: Array
    if isinstance(pre, ImagePreprocessor):
        scaled = array.astype(np.float32) / (pre.high - pre.low).cpu().numpy()
    else:
        assert isinstance(pre, VectorPreprocessor)
        scaled = array / pre.std.cpu().numpy()
    return scaled


def fidelity(model: Autoencoder, of: str, squared_error: float) -> Metrics:
    """Return a mean squared error in the network's units as PSNR of images, RMSE of the rest."""
    if is_image(model.observation_space):
        return {f"PSNR, {of}, dB": psnr(squared_error)}
    return {f"RMSE, {of}, standard deviations": float(np.sqrt(squared_error))}


def reconstruction_metrics(model: Autoencoder, health: Health) -> Metrics:
    """Return the fidelity, the SSIM of images and the negative log-likelihood of ``health``."""
    # PSNR = -10 log10(MSE) for a peak of 1; the inverse gives vectors their RMSE.
    metrics = fidelity(model, "reconstruction", 10 ** (-health.psnr / 10))
    metrics |= {} if health.ssim is None else {"SSIM": health.ssim}
    return {**metrics, "nll, nats": health.reconstruction}
