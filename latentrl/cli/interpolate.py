"""Verb ``interpolate``: decode the latents between two observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentrl.cli.base import VERBS, Metrics, Output, at_least
from latentrl.cli.data import DataVerb, positions
from latentrl.data.frames import Frames
from latentrl.latents import generate
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.figures import Figure
from latentrl.viz.images import gif, grid, model_images
from latentrl.viz.plots import observation_sheet
from latentrl.viz.sheets import Labels

MOVING_STEPS, PAUSE, FPS = 21, 6, 12
"""Of the GIF: steps from one end to the other, frames of rest at each end, frames per second."""


@VERBS.register("interpolate")
@dataclass(frozen=True, kw_only=True)
class Interpolate(DataVerb):
    """Decode the latents on the path from one observation to another."""

    start: tuple[int, ...] = ()
    """Positions of the first observations. Default: random."""
    end: tuple[int, ...] = ()
    """Positions of the last observations, as many as --start has."""
    count: int = 4
    """Number of random pairs."""
    steps: int = 9
    """Positions on the path, both ends included."""
    path: Literal["linear", "spherical"] = "linear"
    """A straight line, or an arc about the origin."""

    def run(self, model: Autoencoder, output: Output) -> Metrics:
        """Write interpolations.npy ``(pairs, steps, *shape)``, .png and .gif."""
        at_least(2, steps=self.steps)
        frames = self.read(self.data, model)
        starts, ends = self._pairs(frames)
        pairs = [(frames[a], frames[b]) for a, b in zip(starts, ends, strict=True)]
        decoded = self._decode(model, pairs, self.steps)
        output.array("interpolations.npy", decoded)
        output.figure("interpolations.png", self._figure(model, pairs, decoded))
        output.movie(
            "interpolations.gif",
            lambda: _movie(model, self._decode(model, pairs, MOVING_STEPS)),
        )
        return {"from": " ".join(map(str, starts)), "to": " ".join(map(str, ends))}

    def _pairs(self, frames: Frames) -> tuple[list[int], list[int]]:
        if len(self.start) != len(self.end):
            raise ValueError(
                "--start and --end need the same number of positions, "
                f"got {len(self.start)} and {len(self.end)}"
            )
        if self.start:
            return positions(self.start, frames), positions(self.end, frames)
        at_least(1, count=self.count)
        count = min(self.count, len(frames) // 2)
        if count < 1:
            raise ValueError(f"an interpolation needs 2 observations, got {len(frames)}")
        chosen = np.random.default_rng(self.seed).permutation(len(frames))[: 2 * count]
        return chosen[:count].tolist(), chosen[count:].tolist()

    def _decode(self, model: Autoencoder, pairs: list[tuple[Array, Array]], steps: int) -> Array:
        return np.stack([generate.interpolate(model, a, b, steps, self.path) for a, b in pairs])

    def _figure(
        self, model: Autoencoder, pairs: list[tuple[Array, Array]], decoded: Array
    ) -> Figure:
        ends = [model.preprocessed(np.stack(pair)) for pair in pairs]
        rows = [
            np.concatenate([pair[:1], row, pair[1:]])
            for pair, row in zip(ends, decoded, strict=True)
        ]
        columns = ["observed", "decoded", *[""] * (self.steps - 2), "decoded", "observed"]
        labels = Labels(columns=columns, breaks=(1, self.steps + 1))
        return observation_sheet(model, rows, labels)


def _movie(model: Autoencoder, decoded: Array) -> bytes:
    frames = [grid(_square(model_images(model, step))) for step in decoded.swapaxes(0, 1)]
    # Forth and back, so that the loop has no jump.
    first, last = [frames[0]] * PAUSE, [frames[-1]] * PAUSE
    return gif([*first, *frames, *last, *frames[::-1]], FPS)


def _square(images: Array) -> list[Array]:
    side = int(np.ceil(np.sqrt(len(images))))
    return [images[start : start + side] for start in range(0, len(images), side)]
