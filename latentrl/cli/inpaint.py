"""What is missing in observations: inpaint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from latentrl import Frames, inpaint
from latentrl.cli.base import VERBS, Figures, Output, at_least
from latentrl.cli.data import DataVerb, Meter, by_value, in_batches, map_all, open_data, spread
from latentrl.data.readers import ImageFolder, open_source
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.corruptions import Cutout
from latentrl.models.preprocessing import ImagePreprocessor, VectorPreprocessor, is_image
from latentrl.types import Array
from latentrl.viz.images import shown
from latentrl.viz.plots import Shade, compared
from latentrl.viz.sheets import sheet

HOLE = (230, 120, 60)
"""Colour of holes in pictures."""


@VERBS.register("inpaint")
@dataclass(frozen=True, kw_only=True)
class Inpaint(DataVerb):
    """Fill holes in observations from what is around them."""

    holes: Path | None = None
    """Where values are missing: boolean .npy (H, W) or (B, H, W), or an image whose white is a
    hole. Where not given, they are the NaN of the data or, without any, random boxes."""
    count: int = 10
    """How many to show."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write filled.npy, holes.npy and filled.png; errors inside the holes are those from
        --data.
        """
        at_least(1, count=self.count)
        frames = open_data(self.data, model)
        holes = self._read(model, len(frames)) if self.holes else missing(model, frames)
        holes = random_holes(model, len(frames), self.seed) if holes is None else holes
        meter = Meter(model)
        filled = _filled(model, frames, holes, meter)
        output.stream("filled.npy", filled, len(frames), frames.space)
        output.array("holes.npy", holes)
        chosen = spread(frames, self.count)
        output.picture("filled.png", lambda: _hole_picture(model, frames[chosen], holes[chosen]))
        return meter.figures()

    def _read(self, model: Autoencoder, count: int) -> Array:
        assert self.holes is not None
        holes = _read_holes(self.holes, model)
        place = hole_shape(model)
        if holes.shape not in (place, (1, *place), (count, *place)):
            raise ValueError(
                f"holes are of shape {place} or {(count, *place)}, those of {self.holes} {holes.shape}"
            )
        if not holes.any():
            raise ValueError(f"{self.holes} has no holes: what is missing is True, or white")
        return np.broadcast_to(holes, (count, *place))


def hole_shape(model: Autoencoder) -> tuple[int, ...]:
    """Return the shape of the holes of one observation: ``(H, W)``, ``(D,)`` or ``(T, D)``."""
    shape: tuple[int, ...] = model.observation_space.shape
    return shape[:2] if len(shape) == 3 else shape


def _read_holes(path: Path, model: Autoencoder) -> Array:
    source = open_source(path)
    if isinstance(source, ImageFolder):
        source.size, source.greyscale = (hole_shape(model)[0], hole_shape(model)[-1]), True
        return source[np.arange(len(source))] > 127
    if source.dtype != np.bool_:
        raise ValueError(
            f"holes are booleans, True where values are missing; {path} holds {source.dtype}"
        )
    return source


def missing(model: Autoencoder, frames: Frames) -> Array | None:
    """Return where observations are NaN, in the form of holes; None where none is."""
    if frames.space.dtype.kind != "f":
        return None
    lost = map_all(frames, "looking for NaN", np.isnan)
    holes = np.asarray(lost.any(-1) if lost.ndim > 1 + len(hole_shape(model)) else lost)
    return holes if holes.any() else None


def random_holes(model: Autoencoder, count: int, seed: int) -> Array:
    """Draw one box for each observation where the model looks, of the sizes that it was trained
    on.
    """
    cutout = next((part for part in model.corruptions if isinstance(part, Cutout)), Cutout())
    holes, pre = np.zeros((count, *hole_shape(model)), bool), model.preprocess
    seen = holes[:, pre.rows, pre.columns] if isinstance(pre, ImagePreprocessor) else holes
    ones = (
        torch.ones(count, 1, *seen.shape[1:])
        if isinstance(pre, ImagePreprocessor)
        else torch.ones(seen.shape)
    )
    _, mask = cutout(ones, Generator().manual_seed(seed))
    seen[:] = mask.expand_as(ones).numpy().reshape(seen.shape)
    return holes


def _filled(model: Autoencoder, frames: Frames, holes: Array, meter: Meter) -> Iterator[Array]:
    done = 0
    for batch in in_batches(frames, "filling"):
        inside = by_value(holes[done : done + len(batch)], batch)
        filled = inpaint(model, batch, holes[done : done + len(batch)])
        known = inside & np.isfinite(batch)
        meter.add("holes filled by a mean", _filled_plainly(model, batch, inside), batch, known)
        meter.add("holes filled by the model", filled, batch, known)
        done += len(batch)
        yield filled


def _filled_plainly(model: Autoencoder, observations: Array, holes: Array) -> Array:
    """Fill holes of images with the mean colour around them, of others with the mean of the
    training data.
    """
    if isinstance(model.preprocess, VectorPreprocessor):
        return np.where(holes, model.preprocess.mean.cpu().numpy(), observations)
    around = np.broadcast_to(~holes, observations.shape)
    total = observations.sum((1, 2), where=around, keepdims=True, dtype=np.float64)
    return np.where(holes, total / np.maximum(around.sum((1, 2), keepdims=True), 1), observations)


def _hole_picture(model: Autoencoder, observed: Array, holes: Array) -> Array:
    filled = inpaint(model, observed, holes)
    if not is_image(model.observation_space):
        lost = holes.any(-1) if holes.ndim == 3 else holes
        return compared(
            model,
            ("observed", "filled"),
            [(observed, filled)],
            shade=Shade("hole", lost.astype(float)),
        )
    before, after = shown(model, observed), shown(model, filled)
    damaged = [
        np.where(hole[..., None], np.array(HOLE, np.uint8), image)
        for hole, image in zip(holes, before, strict=True)
    ]
    return sheet([before, damaged, after], ["observed", "damaged", "filled"], fold=True)
