"""New observations from codes: sample, manifold, traverse, interpolate, arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from latentrl import Frames
from latentrl.cli.base import VERBS, Figures, Output, Verb, at_least
from latentrl.cli.data import DataVerb, classes, open_data, spread
from latentrl.latents import generate as generation
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.health import latent_order
from latentrl.types import Array
from latentrl.viz.images import gif, grid, shown, telling, traversal_gif
from latentrl.viz.plots import painter
from latentrl.viz.sheets import sheet

CANDIDATES = 64
"""Observations among which the one to traverse from is chosen."""
MOVING_STEPS, PAUSE, FPS = 21, 6, 12
"""Steps of a GIF from one end to the other, frames that it stays there, and frames a second."""


@VERBS.register("sample")
@dataclass(frozen=True, kw_only=True)
class Sample(Verb):
    """Decode codes drawn from the prior: new observations."""

    count: int = 64
    """How many."""
    temperature: float = 1.0
    """Standard deviation of the codes; below 1 the samples are more ordinary and less varied."""

    def check(self, model: Autoencoder) -> None:
        """Refuse models whose codes follow no known distribution."""
        generation.sample(model, 1)

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write samples.npy and samples.png."""
        samples = generation.sample(model, self.count, self.temperature, self.seed)
        output.array("samples.npy", samples)
        paint = painter(model, samples)
        output.picture("samples.png", lambda: paint.titled(grid(_square(paint.tiles(samples)))))
        return {}


@VERBS.register("manifold")
@dataclass(frozen=True, kw_only=True)
class Manifold(Verb):
    """Decode a grid of normal quantiles over two dimensions of the code."""

    steps: int = 15
    """Positions along each."""
    dimensions: tuple[int, int] | None = None
    """Which change from row to row and from column to column; the two most informative where not
    given."""

    def check(self, model: Autoencoder) -> None:
        """Refuse models whose codes follow no known distribution."""
        generation.sample(model, 1)

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write manifold.npy and manifold.png."""
        decoded = generation.manifold(model, self.steps, self.dimensions)
        output.array("manifold.npy", decoded)
        paint = painter(model, decoded)
        output.picture(
            "manifold.png", lambda: paint.titled(grid([paint.tiles(row) for row in decoded]))
        )
        rows, columns = (int(k) for k in self.dimensions or latent_order(model)[:2])
        return {"dimension from row to row": rows, "dimension from column to column": columns}


@VERBS.register("traverse")
@dataclass(frozen=True, kw_only=True)
class Traverse(DataVerb):
    """Move one dimension of a code at a time over its range in the data."""

    index: int | None = None
    """Position of the observation to start from; one of ordinary distance from the mean where not
    given."""
    dimensions: int = 8
    """How many, the most informative first."""
    steps: int = 9
    """Positions from the 1 % to the 99 % quantile."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write traversals.npy, traversals.png and traversals.gif."""
        at_least(1, dimensions=self.dimensions)
        at_least(2, steps=self.steps)
        frames = open_data(self.data, model)
        start = telling(model, frames[spread(frames, CANDIDATES)])
        if self.index is not None:
            start = frames[_positions([self.index], frames)[0]]
        moved = generation.traverse(model, start, self.dimensions, self.steps)
        output.array("traversals.npy", moved)
        names, ends = self._names(model), ["1 %", *[""] * (self.steps - 2), "99 %"]
        paint = painter(model, moved)
        output.picture(
            "traversals.png",
            lambda: paint.titled(sheet([paint.tiles(row) for row in moved], names, ends)),
        )
        output.movie("traversals.gif", lambda: traversal_gif(model, start, self.dimensions))
        return {"dimensions": " ".join(map(str, latent_order(model)[: self.dimensions]))}

    def _names(self, model: Autoencoder) -> list[str]:
        kl = model.latent_kl.cpu().numpy()
        nats = [f", {kl[k]:.1f} nats" if model.variational else "" for k in range(model.latent_dim)]
        return [f"dimension {k}{nats[k]}" for k in latent_order(model)[: self.dimensions]]


@VERBS.register("interpolate")
@dataclass(frozen=True, kw_only=True)
class Interpolate(DataVerb):
    """Decode the codes on the way from one observation to another."""

    start: tuple[int, ...] = ()
    """Positions in the data to start from; a random choice where not given."""
    end: tuple[int, ...] = ()
    """As many positions to go to."""
    count: int = 4
    """How many pairs, where neither is given."""
    steps: int = 9
    """Positions on the way, both ends included."""
    path: Literal["linear", "spherical"] = "linear"
    """A straight line, or an arc about the origin."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write interpolations.npy ``(pairs, steps, *shape)``, interpolations.png and
        interpolations.gif.
        """
        at_least(2, steps=self.steps)
        frames = open_data(self.data, model)
        starts, ends = self._pairs(frames)
        pairs = [(frames[a], frames[b]) for a, b in zip(starts, ends, strict=True)]
        decoded = self._decode(model, pairs, self.steps)
        output.array("interpolations.npy", decoded)
        output.picture("interpolations.png", lambda: self._picture(model, pairs, decoded))
        output.movie(
            "interpolations.gif",
            lambda: self._movie(model, self._decode(model, pairs, MOVING_STEPS)),
        )
        return {"from": " ".join(map(str, starts)), "to": " ".join(map(str, ends))}

    def _pairs(self, frames: Frames) -> tuple[list[int], list[int]]:
        if len(self.start) != len(self.end):
            raise ValueError(
                f"start and end need as many positions, got {len(self.start)} and {len(self.end)}"
            )
        if self.start:
            return _positions(self.start, frames), _positions(self.end, frames)
        at_least(1, count=self.count)
        count = min(self.count, len(frames) // 2)
        if count < 1:
            raise ValueError(f"an interpolation needs 2 observations, got {len(frames)}")
        chosen = np.random.default_rng(self.seed).permutation(len(frames))[: 2 * count]
        return chosen[:count].tolist(), chosen[count:].tolist()

    def _decode(self, model: Autoencoder, pairs: list[tuple[Array, Array]], steps: int) -> Array:
        return np.stack([generation.interpolate(model, a, b, steps, self.path) for a, b in pairs])

    def _picture(
        self, model: Autoencoder, pairs: list[tuple[Array, Array]], decoded: Array
    ) -> Array:
        ends = model.preprocessed(np.concatenate([np.stack(pair) for pair in pairs]))
        paint = painter(model, ends, decoded)
        rows = [
            paint.tiles(np.concatenate([ends[2 * i : 2 * i + 1], row, ends[2 * i + 1 : 2 * i + 2]]))
            for i, row in enumerate(decoded)
        ]
        columns = ["observed", "decoded", *[""] * (self.steps - 2), "decoded", "observed"]
        return paint.titled(sheet(rows, columns=columns, breaks=(1, self.steps + 1)))

    def _movie(self, model: Autoencoder, decoded: Array) -> bytes:
        there = [grid(_square(shown(model, step))) for step in decoded.swapaxes(0, 1)]
        return gif([*[there[0]] * PAUSE, *there, *[there[-1]] * PAUSE, *there[::-1]], FPS)


@VERBS.register("arithmetic")
@dataclass(frozen=True, kw_only=True)
class Arithmetic(DataVerb):
    """Add a property to observations, or take it away, along the difference of two mean codes."""

    having: Path | None = None
    """Observations with the property."""
    lacking: Path | None = None
    """Observations without it."""
    label: int | None = None
    """Instead of these two files: the label that is the property."""
    labels: Path | None = None
    """File of the labels; those that come with --data where not given."""
    factor: int | None = None
    """Which column of the labels, where they are factors."""
    strength: tuple[float, ...] = (-1.0, 0.0, 0.5, 1.0, 1.5)
    """How much of the property to add, one column each; 1 is the whole difference."""
    count: int = 8
    """Observations to change; with --label, of those without the property."""

    def run(self, model: Autoencoder, output: Output) -> Figures:
        """Write direction.npy, arithmetic.npy ``(count, strengths, *shape)`` and arithmetic.png."""
        at_least(1, count=self.count, strength=len(self.strength))
        frames = open_data(self.data, model)
        having, lacking = self._sides(frames, model)
        direction = generation.direction(model, having, lacking)
        base = lacking if self.label is not None else frames
        chosen = base[spread(base, self.count)]
        changed = np.stack(
            [generation.arithmetic(model, chosen, direction, s) for s in self.strength], 1
        )
        output.array("direction.npy", direction)
        output.array("arithmetic.npy", changed)
        output.picture("arithmetic.png", lambda: self._picture(model, chosen, changed))
        return {
            "observations with": len(having),
            "without": len(lacking),
            "length": float(np.linalg.norm(direction)),
        }

    def _sides(self, frames: Frames, model: Autoencoder) -> tuple[Frames, Frames]:
        if self.having and self.lacking and self.label is None:
            return open_data(self.having, model), open_data(self.lacking, model)
        if self.label is None or self.having or self.lacking:
            raise ValueError(
                "name the property by --having FILE and --lacking FILE, or by --label N"
            )
        labels = classes(self.labels or self.data, frames, self.factor)
        if labels is None:
            raise ValueError(
                f"{self.data} comes without labels: give --labels FILE, or --having and --lacking"
            )
        if self.label not in labels or (labels == self.label).all():
            raise ValueError(
                f"--label must be one of several in the data: {_few(np.unique(labels))}; got {self.label}"
            )
        return frames.subset(np.flatnonzero(labels == self.label)), frames.subset(
            np.flatnonzero(labels != self.label)
        )

    def _picture(self, model: Autoencoder, chosen: Array, changed: Array) -> Array:
        before = model.preprocessed(chosen)
        paint = painter(model, before, changed)
        rows = [
            paint.tiles(np.concatenate([[image], row]))
            for image, row in zip(before, changed, strict=True)
        ]
        columns = ["observed", *[f"{s:+g}" if s else "0" for s in self.strength]]
        return paint.titled(sheet(rows, columns=columns, breaks=(1,)))


def _few(values: Array) -> str:
    return " ".join(map(str, values[:20])) + (" ..." if len(values) > 20 else "")


def _positions(wanted: Sequence[int], frames: Frames) -> list[int]:
    for index in wanted:
        if not -len(frames) <= index < len(frames):
            raise ValueError(f"there is no observation {index}: the data has {len(frames)}, from 0")
    return [index % len(frames) for index in wanted]


def _square(tiles: list[Array]) -> list[list[Array]]:
    side = int(np.ceil(np.sqrt(len(tiles))))
    return [tiles[start : start + side] for start in range(0, len(tiles), side)]
