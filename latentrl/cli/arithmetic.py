"""Verb ``arithmetic``: add a property to observations, or remove it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, classes
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents import generate
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.figures import Figure
from latentrl.viz.plots import observation_sheet
from latentrl.viz.sheets import Labels


@VERBS.register("arithmetic")
@dataclass(frozen=True, kw_only=True)
class Arithmetic(DataVerb):
    """Add a property to observations, or remove it, along the difference of two mean latents."""

    positive: Path | None = None
    """Observations with the property."""
    negative: Path | None = None
    """Observations without it."""
    label: int | None = None
    """In place of the two files: the label that is the property."""
    labels: Path | None = None
    """File of the labels. Default: the labels in --data."""
    factor: int | None = None
    """Column of the labels, if they are factors."""
    strength: tuple[float, ...] = (-1.0, 0.0, 0.5, 1.0, 1.5)
    """Multiples of the difference to add, one column each."""
    count: int = 8
    """Number of observations to change; with --label, of those without the property."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write direction.npy, arithmetic.npy ``(count, strengths, *shape)`` and .png."""
        at_least(1, count=self.count, strength=len(self.strength))
        frames = self.read(self.data, model)
        positive, negative = self._sides(frames, model)
        direction = generate.direction(model, positive, negative)
        base = negative if self.label is not None else frames
        chosen = base[evenly_spaced(len(base), self.count)]
        changed = [generate.arithmetic(model, chosen, direction, s) for s in self.strength]
        output.array("direction.npy", direction)
        output.array("arithmetic.npy", np.stack(changed, 1))
        output.figure("arithmetic.png", self._figure(model, chosen, np.stack(changed, 1)))
        return {
            "positive observations": len(positive),
            "negative observations": len(negative),
            "length of the direction": float(np.linalg.norm(direction)),
        }

    def _sides(self, frames: Frames, model: Autoencoder) -> tuple[Frames, Frames]:
        if self.positive and self.negative and self.label is None:
            return self.read(self.positive, model), self.read(self.negative, model)
        if self.label is None or self.positive or self.negative:
            raise ValueError(
                "name the property with --positive FILE and --negative FILE, or with --label N"
            )
        labels = classes(self.labels or self.data, frames, self.factor)
        if labels is None:
            raise ValueError(
                f"{self.data} has no labels: give --labels FILE, or --positive and --negative"
            )
        has = labels == self.label
        if has.all() or not has.any():
            raise ValueError(
                f"expected --label to be one of several in the data, {_few(np.unique(labels))}; "
                f"got {self.label}"
            )
        return frames.subset(np.flatnonzero(has)), frames.subset(np.flatnonzero(~has))

    def _figure(self, model: Autoencoder, chosen: Array, changed: Array) -> Figure:
        before = model.preprocessed(chosen)
        rows = [np.concatenate([[a], row]) for a, row in zip(before, changed, strict=True)]
        columns = ["observed", *[f"{s:+g}" if s else "0" for s in self.strength]]
        return observation_sheet(model, rows, Labels(columns=columns, breaks=(1,)))


def _few(values: Array) -> str:
    return " ".join(map(str, values[:20])) + (" ..." if len(values) > 20 else "")
