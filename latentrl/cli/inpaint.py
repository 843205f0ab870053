"""Verb ``inpaint``: fill holes in observations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, Errors, in_batches, map_all
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.data.images import ImageFolder
from latentrl.data.readers import open_source
from latentrl.latents.restore import inpaint
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.corruptions import Cutout
from latentrl.models.preprocessing import ImagePreprocessor, is_image
from latentrl.models.vectors import VectorPreprocessor
from latentrl.types import Array
from latentrl.viz.figures import Figure
from latentrl.viz.images import network_images
from latentrl.viz.plots import Shade, comparison_sheet
from latentrl.viz.sheets import Labels, image_sheet

HOLE = (230, 120, 60)
"""RGB colour of holes in images."""


@VERBS.register("inpaint")
@dataclass(frozen=True, kw_only=True)
class Inpaint(DataVerb):
    """Fill holes in observations from the values around them."""

    holes: Path | None = None
    """Hole mask: boolean .npy (H, W) or (B, H, W), or an image that is white in the holes.
    Default: the NaN of the data or, without any, random boxes."""
    count: int = 10
    """Number of observations in the image."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write filled.npy, holes.npy and filled.png; errors are those inside the holes."""
        at_least(1, count=self.count)
        frames = self.read(self.data, model)
        holes = self._read(model, len(frames)) if self.holes else missing_values(model, frames)
        holes = random_holes(model, len(frames), self.seed) if holes is None else holes
        errors = Errors(model)
        filled = _filled(model, frames, holes, errors)
        output.stream("filled.npy", filled, len(frames), frames.space)
        output.array("holes.npy", holes)
        chosen = evenly_spaced(len(frames), self.count)
        output.figure("filled.png", _hole_figure(model, frames[chosen], holes[chosen]))
        return errors.metrics()

    def _read(self, model: Autoencoder, count: int) -> Array:
        assert self.holes is not None
        holes = _read_holes(self.holes, model)
        shape = hole_shape(model)
        if holes.shape not in (shape, (1, *shape), (count, *shape)):
            raise ValueError(
                f"expected holes of shape {shape} or {(count, *shape)}, "
                f"{self.holes} holds {holes.shape}"
            )
        if not holes.any():
            raise ValueError(f"{self.holes} has no holes: expected True, or white, where they are")
        return np.broadcast_to(holes, (count, *shape))


def hole_shape(model: Autoencoder) -> tuple[int, ...]:
    """Return the shape of one observation's hole mask: ``(H, W)``, ``(D,)`` or ``(T, D)``."""
    shape: tuple[int, ...] = model.observation_space.shape
    return shape[:2] if len(shape) == 3 else shape


def _read_holes(path: Path, model: Autoencoder) -> Array:
    source = open_source(path)
    if isinstance(source, ImageFolder):
        source.size, source.greyscale = (hole_shape(model)[0], hole_shape(model)[-1]), True
        half = np.iinfo(source.dtype).max // 2
        return source[np.arange(len(source))] > half
    if source.dtype != np.bool_:
        raise ValueError(f"expected boolean holes, True in the holes; {path} holds {source.dtype}")
    return source


def missing_values(model: Autoencoder, frames: Frames) -> Array | None:
    """Return a hole mask of the NaN in observations; None if there are none."""
    if frames.space.dtype.kind != "f":
        return None
    missing = map_all(frames, "looking for NaN", np.isnan)
    channels = missing.ndim > 1 + len(hole_shape(model))
    holes = np.asarray(missing.any(-1) if channels else missing)
    return holes if holes.any() else None


def random_holes(model: Autoencoder, count: int, seed: int) -> Array:
    """Return one random box for each observation, of the sizes of the model's training."""
    cutouts = (c for c in model.corruptions if isinstance(c, Cutout))
    cutout = next(cutouts, Cutout())
    holes, pre = np.zeros((count, *hole_shape(model)), bool), model.preprocess
    image = isinstance(pre, ImagePreprocessor)
    # Only holes within the crop can be filled: the network gets no other pixels.
    inside = holes[:, pre.rows, pre.columns] if isinstance(pre, ImagePreprocessor) else holes
    ones = torch.ones(count, 1, *inside.shape[1:]) if image else torch.ones(inside.shape)
    _, mask = cutout(ones, Generator().manual_seed(seed))
    assert mask is not None
    inside[:] = mask.expand_as(ones).numpy().reshape(inside.shape)
    return holes


def _filled(model: Autoencoder, frames: Frames, holes: Array, errors: Errors) -> Iterator[Array]:
    done = 0
    for batch in in_batches(frames, "filling"):
        part = holes[done : done + len(batch)]
        filled = inpaint(model, batch, part)
        inside = part[..., None] if part.ndim < batch.ndim else part
        known = inside & np.isfinite(batch)  # a NaN has no true value to compare with
        errors.add("holes filled by a mean", _filled_by_mean(model, batch, inside), batch, known)
        errors.add("holes filled by the model", filled, batch, known)
        done += len(batch)
        yield filled


def _filled_by_mean(model: Autoencoder, observations: Array, holes: Array) -> Array:
    """Return the baseline: the mean colour around a hole, or the mean of the training data."""
    if isinstance(model.preprocess, VectorPreprocessor):
        return np.where(holes, model.preprocess.mean.cpu().numpy(), observations)
    # Per image and channel, over all pixels outside of its holes.
    around = np.broadcast_to(~holes, observations.shape)
    total = observations.sum((1, 2), where=around, keepdims=True, dtype=np.float64)
    count = np.maximum(around.sum((1, 2), keepdims=True), 1)
    return np.where(holes, total / count, observations)


def _hole_figure(model: Autoencoder, observed: Array, holes: Array) -> Figure:
    filled = inpaint(model, observed, holes)
    if not is_image(model.observation_space):
        missing = holes.any(-1) if holes.ndim == 3 else holes
        shade = Shade("hole", missing.astype(float))
        return comparison_sheet(model, ("observed", "filled"), [(observed, filled)], shade=shade)
    before, after = network_images(model, observed), network_images(model, filled)
    corrupted = np.where(holes[..., None], np.array(HOLE, np.uint8), before)
    labels = Labels(rows=("observed", "corrupted", "filled"), fold=True)
    return image_sheet([before, corrupted, after], labels)
