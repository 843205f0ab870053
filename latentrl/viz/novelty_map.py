"""Map of a novelty bonus: recent states in the plane of their latents, and some of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from latentrl.latents.projection import principal_plane
from latentrl.types import Array
from latentrl.viz.figures import (
    DPI,
    LINE,
    PAD,
    PALE_INK,
    Axes,
    Figure,
    draw_pixels,
    new_figure,
    pixel_axes,
    rasterize,
    style,
)
from latentrl.viz.images import TILE, colormap, to_rgb

CELLS = 28
"""Cells along each axis of the plane; the states in one cell are one disc."""
SMALLEST, GROWTH = 4.0, 1.3
"""Radius in pixels of a disc of one state, and what each doubling of its states adds."""
COLUMNS = 5
ROWS = ("highest bonus", "median of the bonuses above the lowest", "lowest bonus")
BRIGHTEST = 0.99
"""Quantile of the discs' bonuses in the brightest colour: one outlier does not darken the rest."""
PLANE, LEFT, BAR = 340, 40, 10
"""Pixels: side of the plane, space left of it, height of the colour bar."""
FRAMES, TILE_ROW = LEFT + PLANE + 3 * PAD, LINE + TILE + LINE
"""Pixels: left of the frames, height of one of their rows."""


class RecentStates:
    """Ring buffer of the newest states: their frames, latents and bonuses."""

    def __init__(self, size: int) -> None:
        """Hold ``size`` states.

        Raises:
            ValueError: the size is less than 1.
        """
        if size < 1:
            raise ValueError(f"a ring buffer of states holds at least 1, got size={size}")
        self.size, self.count = size, 0
        self._arrays = np.empty(0), np.empty(0), np.empty(0)

    def add(self, frames: Array, latents: Array, bonuses: Array) -> None:
        """Add a batch: ``(B, *frame_shape)``, ``(B, latent_dim)`` and ``(B,)``."""
        batch = frames[-self.size :], latents[-self.size :], bonuses[-self.size :]
        if not self.count:
            self._arrays = self._buffer(frames), self._buffer(latents), self._buffer(bonuses)
        places = (self.count + np.arange(len(batch[0]))) % self.size
        for array, values in zip(self._arrays, batch, strict=True):
            array[places] = values
        self.count += len(places)

    def _buffer(self, batch: Array) -> Array:
        return np.empty((self.size, *batch.shape[1:]), batch.dtype)

    def newest(self) -> tuple[Array, Array, Array]:
        """Return frames, latents and bonuses in no order; empty arrays before the first batch."""
        frames, latents, bonuses = self._arrays
        return frames[: self.count], latents[: self.count], bonuses[: self.count]


@dataclass(frozen=True)
class Discs:
    """States of one cell of the plane, drawn as one disc; ``D`` discs of ``N`` states."""

    of_state: Array
    """Number of each state's disc, ``(N,)``."""
    counts: Array
    """States of each disc, ``(D,)``."""
    centres: Array
    """Mean position of the states, ``(D, 2)`` in [0, 1]."""
    bonuses: Array
    """Mean bonus, ``(D,)``."""

    @classmethod
    def of(cls, plane: Array, bonuses: Array) -> Discs:
        """Group states at ``plane`` ``(N, 2)`` in [0, 1] by cell."""
        cells = np.minimum((plane * CELLS).astype(int), CELLS - 1)
        of_state = np.unique(cells @ [CELLS, 1], return_inverse=True)[1]
        counts = np.bincount(of_state)
        sums = [np.bincount(of_state, values) for values in (*plane.T, bonuses)]
        x, y, mean = (total / counts for total in sums)
        return cls(of_state, counts, np.stack([x, y], 1), mean)

    @property
    def radii(self) -> Array:
        """Radius of each disc in pixels, ``(D,)``."""
        return SMALLEST + GROWTH * np.log2(self.counts)

    @property
    def range(self) -> tuple[float, float]:
        """Bonuses of the darkest and the brightest colour."""
        low, high = float(self.bonuses.min()), float(np.quantile(self.bonuses, BRIGHTEST))
        return low, high if high > low else float(self.bonuses.max())

    @property
    def clipped(self) -> bool:
        """Whether the brightest colour stands for higher bonuses, too."""
        return float(self.bonuses.max()) > self.range[1]


def novelty_map(
    frames: Array, latents: Array, bonuses: Array, low: float = 0, high: float = 255
) -> Array:
    """Draw where a bonus is high, as uint8 RGB ``(H, W, 3)``; arguments as for the figure.

    Raises:
        ValueError: there are no states, or not as many of each; or the frames are not images.
        ImportError: matplotlib is missing.
    """
    return rasterize(novelty_map_figure(frames, latents, bonuses, low, high))


def novelty_map_figure(
    frames: Array, latents: Array, bonuses: Array, low: float = 0, high: float = 255
) -> Figure:
    """Draw states in the plane of two principal components, coloured by mean bonus, and frames.

    Each component is stretched to fill the plane. States of one cell are one disc, larger for more
    states. On the right are frames with the highest bonuses, with those nearest the median of
    all bonuses above the lowest (most bonuses may be zero, and then so is the median of all), and
    with the lowest. Frames of a row come from different discs, of equal bonuses from the largest.

    Args:
        frames: frames of the states, ``(N, H, W, C)`` or ``(N, H, W)``.
        latents: their latents, ``(N, latent_dim)``.
        bonuses: their bonuses, ``(N,)``.
        low: value of black in a frame.
        high: value of white in a frame.
    """
    _check(frames, latents, bonuses)
    plane, fractions = principal_plane(latents)
    discs = Discs.of(_unit_square(plane), bonuses)
    with style():
        size = FRAMES + COLUMNS * (TILE + PAD) + PAD, 3 * TILE_ROW + 2 * PAD
        figure = new_figure(size)
        axes = figure.add_axes(_box(size, LEFT, LINE + PAD, PLANE, PLANE))
        _draw_plane(axes, discs, fractions, len(bonuses))
        bar = figure.add_axes(_box(size, LEFT, 2 * LINE + 2 * PAD + PLANE, PLANE, BAR))
        _draw_bar(bar, *discs.range, clipped=discs.clipped)
        examples = _examples(bonuses, discs)
        images = [to_rgb(frames[row], low, high) for row in examples]
        _draw_frames(figure, size, images, [bonuses[row] for row in examples])
    return figure


def _check(frames: Array, latents: Array, bonuses: Array) -> None:
    shapes = f"frames {frames.shape}, latents {latents.shape} and bonuses {bonuses.shape}"
    if frames.ndim not in (3, 4) or latents.ndim != 2 or bonuses.ndim != 1:
        raise ValueError(
            "a novelty map takes images (N, H, W, C), latents (N, latent_dim) and bonuses (N,), "
            f"got {shapes}"
        )
    if not len(frames) == len(latents) == len(bonuses) > 0:
        raise ValueError(
            "a novelty map takes one frame, latent and bonus for each of 1 or more states, "
            f"got {shapes}"
        )


def _unit_square(plane: Array) -> Array:
    """Stretch coordinates ``(N, 2)`` to [0, 1] along each axis; a constant axis becomes 0.5."""
    low, extent = plane.min(0), np.ptp(plane, 0)
    # Below 1e-9 the extent is rounding noise, which stretching would blow up to a pattern.
    return np.where(extent > 1e-9, (plane - low) / np.maximum(extent, 1e-9), 0.5)


def _examples(bonuses: Array, discs: Discs) -> list[Array]:
    """Return the indices of the states whose frames are drawn in each row."""
    above = bonuses[bonuses > bonuses.min()]
    median = np.median(above) if len(above) else bonuses.min()
    sizes = discs.counts[discs.of_state]
    chosen = []
    for values in (-bonuses, np.abs(bonuses - median), bonuses):
        order = np.lexsort((-sizes, values))
        firsts = np.sort(np.unique(discs.of_state[order], return_index=True)[1])
        chosen.append(order[firsts[:COLUMNS]])
    return chosen


def _box(
    size: tuple[int, int], left: int, top: int, width: int, height: int
) -> tuple[float, float, float, float]:
    """Return pixels from the top left as fractions of a figure from its bottom left."""
    return left / size[0], 1 - (top + height) / size[1], width / size[0], height / size[1]


def _draw_plane(axes: Axes, discs: Discs, fractions: Array, count: int) -> None:
    order = np.argsort(discs.bonuses, kind="stable")  # the highest bonus on top
    diameters = 2 * discs.radii[order] * 72 / DPI
    x, y = discs.centres[order].T
    axes.scatter(
        x,
        y,
        s=diameters**2,
        c=colormap(discs.bonuses[order], *discs.range) / 255,
        edgecolors=PALE_INK,
        linewidths=0.5,
    )
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), xticks=[], yticks=[], facecolor="0.94")
    axes.set_title(f"{count:,} states, larger discs hold more", loc="left")
    axes.set_xlabel(f"principal component 1 ({fractions[0]:.0%} of the variance)")
    axes.set_ylabel(f"principal component 2 ({fractions[1]:.0%})")


def _draw_bar(axes: Axes, low: float, high: float, *, clipped: bool) -> None:
    axes.imshow(colormap(np.linspace(0, 1, 256)[None]), aspect="auto", extent=(0, 1, 0, 1))
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    end = f"≥ {high:.3g}" if clipped else f"{high:.3g}"
    axes.set_xticks([0, 0.5, 1], [f"{low:.3g}", "mean bonus", end])
    axes.tick_params(length=0)


def _draw_frames(
    figure: Figure, size: tuple[int, int], rows: Sequence[Array], bonuses: Sequence[Array]
) -> None:
    axes = pixel_axes(figure, size)
    canvas = np.full((size[1], size[0], 3), 255, np.uint8)
    for i, (name, tiles, values) in enumerate(zip(ROWS, rows, bonuses, strict=True)):
        top = PAD + i * TILE_ROW + LINE
        axes.text(FRAMES, top - LINE / 2, name, va="center")
        for k, (image, bonus) in enumerate(zip(tiles, values, strict=True)):
            tile, left = _resize(image), FRAMES + k * (TILE + PAD)
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            y = top + tile.shape[0] + LINE / 2
            axes.text(left + tile.shape[1] / 2, y, f"{bonus:.3g}", ha="center", va="center")
    draw_pixels(figure, canvas)


def _resize(image: Array) -> Array:
    """Resize an RGB image so that its longer side has the size of a tile."""
    scale = TILE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=method))
