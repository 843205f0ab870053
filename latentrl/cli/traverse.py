"""Verb ``traverse``: move one dimension of a latent at a time."""

from __future__ import annotations

from dataclasses import dataclass

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, positions
from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents import generate
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.decoded import traversal_sheet
from latentrl.viz.images import representative_index, traversal_gif

CANDIDATES = 64
"""Observations among which the default start is selected."""


@VERBS.register("traverse")
@dataclass(frozen=True, kw_only=True)
class Traverse(DataVerb):
    """Move one dimension of a latent at a time over its range in the data."""

    index: int | None = None
    """Position of the observation to start from. Default: one at a typical distance from the
    mean."""
    dimensions: int = 8
    """Number of dimensions, the most informative first; of a grid of cells, those that change the
    decoded observation most."""
    steps: int = 9
    """Positions from the 1 % to the 99 % quantile."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write traversals.npy, traversals.png and traversals.gif."""
        at_least(1, dimensions=self.dimensions)
        at_least(2, steps=self.steps)
        start = self._start(model, self.read(self.data, model))
        shown = generate.shown_dimensions(model, start, self.dimensions)
        moved = generate.traverse(model, start, shown, self.steps)
        output.array("traversals.npy", moved)
        output.figure("traversals.png", traversal_sheet(model, moved, shown))
        output.movie("traversals.gif", lambda: traversal_gif(model, start, shown))
        return {"dimensions": " ".join(map(str, shown))}

    def _start(self, model: Autoencoder, frames: Frames) -> Array:
        if self.index is not None:
            return frames[positions([self.index], frames)[0]]
        candidates = frames[evenly_spaced(len(frames), CANDIDATES)]
        start: Array = candidates[representative_index(model, candidates)]
        return start
