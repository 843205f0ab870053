"""The default encoder of images, chosen from measurements on the frames."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch.nn.functional import adaptive_avg_pool2d, unfold

from latentrl.data.frames import Frames, as_frames, evenly_spaced
from latentrl.models.backbones.spatial import Spatial
from latentrl.models.losses.change import changed_values
from latentrl.models.preprocessing import Preprocessing, is_image, make_preprocessor
from latentrl.models.stored import stored_preprocessing
from latentrl.models.vectors import Preprocessor
from latentrl.training.fit import preprocessing_sample
from latentrl.types import Array, describe_space

SAMPLE, CELL_SAMPLE = 2_048, 512
"""Most frames whose changes are measured, and whose cells are."""
BATCH = 128
BUSY = 0.2
"""Fraction of changing pixels above which a cell gets ``BUSY_CHANNELS``."""
DETAILED, VERY_DETAILED = 0.004, 0.006
"""Squared error of the best ``CHANNELS`` linear features of a cell, above which it gets
``BUSY_CHANNELS``, and above which images should be enlarged so that there are more cells."""
SIDE = 8
"""Side in pixels of the cells that are measured, of an image that is resized to fit them."""
CHANNELS, BUSY_CHANNELS = 4, 8
LARGEST_WEIGHT = 100.0
"""Largest weight of changing pixels: fewer than one in a hundred are not weighted up to half."""
BETA = 0.1
TOPK_WEIGHT = 4.0


@dataclass(frozen=True)
class Choice:
    """Arguments of ``beta_vae`` for some frames, and why."""

    arguments: Mapping[str, Any]
    """Arguments by name: ``latent_dim``, ``beta``, ``backbone``, and weights of loss terms."""
    reason: str
    """The measurements and what follows from them, as one sentence."""


def choose(frames: Frames | Array, preprocessing: Preprocessing | None = None) -> Choice:
    """Choose latent size and weighting of a beta-VAE with a latent grid, from the frames.

    The weight of changing pixels makes them count as much as all pixels together. A cell of the
    grid has more channels where much of the image changes in a step, or where images have many
    details. The values that are reconstructed worst weigh more in all frames:

        model = lrl.beta_vae(frames.observation_space, **lrl.choose(frames).arguments)

    Args:
        frames: images; in an array no order is known, and so nothing that changes.
        preprocessing: crop and size of the images that the network takes; None is that with which
            the frames are stored, which is then among the arguments.

    Raises:
        ValueError: the observations are not images.
    """
    frames = as_frames(frames)
    if not is_image(frames.observation_space):
        raise ValueError(
            "choose is for images; these observations are "
            f"{describe_space(frames.observation_space)}: give a model their space, as "
            "latentrl.beta_vae(frames.observation_space, latent_dim=4)"
        )
    if preprocessing is None:
        stored = stored_preprocessing(frames)
        choice = choose(frames, stored)
        added = {} if stored == Preprocessing() else {"preprocessing": stored}
        return Choice({**choice.arguments, **added}, choice.reason)
    space = frames.observation_space
    fraction = change_fraction(frames, preprocessing)
    rows, columns = grid_of(space, preprocessing)
    values = math.prod(make_preprocessor(space, preprocessing).shape)
    detailed = fraction <= BUSY and cell_error(frames, preprocessing) > DETAILED
    wanted = BUSY_CHANNELS if fraction > BUSY or detailed else CHANNELS
    # A latent is no larger than the observation, which small grey images would exceed.
    channels = min(wanted, values // (rows * columns))
    arguments = {
        "latent_dim": rows * columns * channels,
        "beta": BETA,
        "backbone": {"name": "spatial"},
        "topk_weight": TOPK_WEIGHT,
    }
    because = ", because images have many details" if detailed else ""
    grid = f"{rows} x {columns} cells of {channels} values{because}"
    if not fraction:
        return Choice(arguments, f"no pixel is known to change in a step: {grid}")
    weight = {"change_weight": round(min(LARGEST_WEIGHT, 1 / fraction), 1)}
    reason = (
        f"{100 * fraction:.2g} % of the pixels change in a step: {grid}, and changing pixels "
        f"weigh {1 + weight['change_weight']:g} times as much as others"
    )
    return Choice({**arguments, **weight}, reason)


def grid_of(space: spaces.Box, preprocessing: Preprocessing) -> tuple[int, int]:
    """Return rows and columns of the latent grid for images of ``space``."""
    return Spatial().grid(make_preprocessor(space, preprocessing).shape)


@torch.inference_mode()
def change_fraction(frames: Frames, preprocessing: Preprocessing) -> float:
    """Return the fraction of pixels that differ from the frame one step earlier, of a sample."""
    preprocess, parts = _sample(frames, preprocessing, SAMPLE)
    changed = 0.0
    for part in parts:
        x, previous = (
            preprocess(torch.from_numpy(images)) for images in (frames[part], frames.previous(part))
        )
        changed += float(changed_values(x, previous).float().mean()) * len(part)
    return changed / sum(map(len, parts))


@torch.inference_mode()
def cell_error(frames: Frames, preprocessing: Preprocessing) -> float:
    """Return the squared error of the best ``CHANNELS`` linear features of a cell, of a sample.

    The features are principal components of the differences from the mean image, the same ones in
    all cells. The error is the mean over values, whose range is 1.
    """
    preprocess, parts = _sample(frames, preprocessing, CELL_SAMPLE)
    rows, columns = grid_of(frames.observation_space, preprocessing)
    size = (SIDE * rows, SIDE * columns)
    count, sums, products = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        images = adaptive_avg_pool2d(preprocess(torch.from_numpy(frames[part])), size)
        cells = unfold(images, SIDE, stride=SIDE)  # (B, values of a cell, cells)
        sums = sums + cells.double().sum(0)
        products = products + torch.einsum("bvc,bwc->vw", cells, cells).double()
        count += len(part)
    mean = sums / count
    covariance = (products / count - mean @ mean.T) / mean.shape[1]
    left = torch.linalg.eigvalsh(covariance)[:-CHANNELS]
    return float(left.clamp(min=0).sum()) / len(mean)


def _sample(
    frames: Frames, preprocessing: Preprocessing, most: int
) -> tuple[Preprocessor, list[Array]]:
    """Return a fitted preprocessor and the indices of at most ``most`` frames, in batches."""
    preprocess = make_preprocessor(frames.observation_space, preprocessing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # ``fit`` warns of a range of the data
        preprocess.fit(preprocessing_sample(frames))
    chosen = evenly_spaced(len(frames), most)
    return preprocess, np.array_split(chosen, math.ceil(len(chosen) / BATCH))
