"""Sheets of observations of any kind: images, line plots of sequences, bar plots of vectors.

Values of sequences and vectors are drawn in standard deviations of the training data, all plots
of a figure on one scale. One pair of axes holds all plots: hundreds of axes would take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.models.vectors import VectorPreprocessor
from latentrl.types import Array
from latentrl.viz.figures import (
    CYCLE,
    DPI,
    LINE,
    PALE_INK,
    SMALL,
    Figure,
    Size,
    style,
    text_width,
    ticks,
)
from latentrl.viz.images import model_images
from latentrl.viz.sheets import Labels, Margins, Sheet, image_sheet

PLOT, PANEL = (120, 92), (320, 160)
"""Width and height in pixels of one plot among many, and of one with two curves."""
MARGIN = 6
"""Pixels between the frame of a plot and its curves."""
LINES, BARS = 8, 32
"""Most values of a sequence that get a line; most values of a vector that get a bar each."""
FARTHEST = 10.0
"""Standard deviations at which curves are clipped, so that one outlier does not flatten all."""
PALENESS = 0.5
"""Opacity of second curves that have the colours of the first ones."""
SHADE = "#ffe0a0"
AXIS_LEFT, AXIS_BOTTOM = 56, 18
"""Pixels left of and below the plots for tick labels and axis names."""
WIDTH, LEGEND_ENTRY = 480, 100
"""Pixels: least width of a figure, width of a legend entry."""
POINTS = 72 / DPI
"""Points per pixel: matplotlib measures line widths in points."""


@dataclass(frozen=True)
class Shade:
    """Places that are marked behind the curves."""

    name: str
    """Label in the legend."""
    amount: Array
    """Opacity of each place, ``(B, places)`` in [0, 1]."""


def observation_sheet(
    model: Autoencoder, rows: Sequence[Array], labels: Labels = Labels()
) -> Figure:
    """Draw batches of observations ``(B, *shape)`` in the environment's units as labelled rows."""
    if is_image(model.observation_space):
        return image_sheet([model_images(model, row) for row in rows], labels)
    return _plot_sheet(model, PLOT, rows, labels)


def comparison_sheet(
    model: Autoencoder,
    names: tuple[str, str],
    rows: Sequence[tuple[Array, Array]],
    labels: Labels = Labels(fold=True),
    shade: Shade | None = None,
) -> Figure:
    """Draw two batches of sequences or vectors in the same plots, for each pair in ``rows``.

    Args:
        model: the model whose environment they come from.
        names: labels of the first and the second batch in the legend.
        rows: pairs of batches ``(B, *shape)``, all of one length.
        labels: labels of rows and observations.
        shade: places to mark behind the curves.
    """
    firsts = [first for first, _ in rows]
    seconds = [second for _, second in rows]
    return _plot_sheet(model, PANEL, firsts, labels, seconds, names, shade)


def _plot_sheet(
    model: Autoencoder,
    tile: Size,
    rows: Sequence[Array],
    labels: Labels,
    seconds: Sequence[Array] | None = None,
    names: tuple[str, str] = ("", ""),
    shade: Shade | None = None,
) -> Figure:
    values = np.stack([standard_scores(model, row) for row in rows])
    pale = None if seconds is None else np.stack([standard_scores(model, row) for row in seconds])
    over_time = len(model.observation_space.shape) == 2
    with style():
        plots = Plots(tile, values, pale, labels, over_time)
        if shade is not None:
            plots.shade(shade.amount)
        plots.axis()
        plots.curves()
        plots.legend(names if pale is not None else (), shade)
    return plots.sheet.figure


def standard_scores(model: Autoencoder, observations: Array) -> Array:
    """Return values in standard deviations of the training data, ``(B, places, lines)``.

    A sequence ``(T, D)`` has a place for each step and a line for each of its first values; a
    vector ``(D,)`` has a place for each value and one line.
    """
    pre = model.preprocess
    assert isinstance(pre, VectorPreprocessor)
    scores: Array = (observations - pre.mean.cpu().numpy()) / pre.std.cpu().numpy()
    scores = np.clip(scores, -FARTHEST, FARTHEST)
    return scores[..., :LINES] if scores.ndim == 3 else scores[..., None]


class Plots:
    """Plots of scores ``(rows, columns, places, lines)`` on a sheet, on one scale."""

    def __init__(
        self, tile: Size, values: Array, pale: Array | None, labels: Labels, over_time: bool
    ) -> None:
        """Lay out one plot of ``tile`` pixels for each row and column of ``values``."""
        self.values, self.pale, self.over_time = values, pale, over_time
        self.as_bars = not over_time and values.shape[2] <= BARS
        both = values if pale is None else np.concatenate([values, pale])
        finite = both[np.isfinite(both)]
        self.low = min(float(finite.min(initial=0)), -0.1)
        self.high = max(float(finite.max(initial=0)), 0.1)
        header = LINE * ((pale is not None) + (values.shape[-1] > 1))
        legend = max(WIDTH, LEGEND_ENTRY * values.shape[-1])
        margins = Margins(AXIS_LEFT, AXIS_BOTTOM, header, LINE, legend)
        self.sheet = Sheet(tile, values.shape[:2], labels, margins)
        self.inner = tile[0] - 2 * MARGIN, tile[1] - 2 * MARGIN

    def x(self, shift: float = 0.5) -> Array:
        """Return the pixel of each place, ``(rows, columns, places)``; ``shift`` is in places."""
        places = self.values.shape[2]
        within = (np.arange(places) + shift) * self.inner[0] / places
        pixels: Array = self.sheet.corners[..., :1] + MARGIN + within
        return pixels

    def y(self, scores: Array) -> Array:
        """Return the pixel of scores whose first two axes are rows and columns."""
        tops = self.sheet.corners[..., 1].reshape(
            *self.sheet.corners.shape[:2], *(1,) * (scores.ndim - 2)
        )
        return tops + MARGIN + (self.high - scores) / (self.high - self.low) * self.inner[1]

    def shade(self, amount: Array) -> None:
        """Mark places behind the curves of all rows; ``amount`` is the opacity, ``(B, places)``."""
        x = self.x()
        tops = self.sheet.corners[..., 1:]
        self._columns(
            x,
            np.broadcast_to(tops, x.shape),
            np.broadcast_to(tops + self.sheet.tile[1], x.shape),
            self.inner[0] / x.shape[-1],
            color=SHADE,
            alpha=np.broadcast_to(np.clip(amount, 0, 1), x.shape).ravel(),
            antialiased=False,  # smoothed edges of adjacent places add up to stripes
        )

    def _columns(self, x: Array, low: Array, high: Array, width: float, **options: Any) -> None:
        # Vertical lines with square ends are bars that one collection draws at once.
        self.sheet.axes.vlines(
            x.ravel(), low.ravel(), high.ravel(), linewidth=width * POINTS, **options
        )

    def axis(self) -> None:
        """Draw the frame of each plot, lines at round scores, and the labels of both axes."""
        axes, (width, height) = self.sheet.axes, self.sheet.tile
        left, top = np.moveaxis(self.sheet.corners, -1, 0)
        for score in ticks(self.low, self.high):
            level = self.y(np.full(left.shape, score))
            colour = PALE_INK if score == 0 else "0.9"
            axes.hlines(level.ravel(), left.ravel(), (left + width).ravel(), colour, linewidth=0.5)
            for x, y in zip(
                self.sheet.first[..., 0].ravel(),
                level[:, :: self.sheet.per_line].ravel(),
                strict=True,
            ):
                self.sheet.text(x - 4, y, f"{score:g}", ha="right", size=SMALL)
        box = np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0], [np.nan] * 2])
        x, y = (self.sheet.corners[..., None, :] + box).reshape(-1, 2).T
        axes.plot(x, y, color=PALE_INK, linewidth=0.5)
        self._axis_labels(left[-1], top[-1] + height)

    def _axis_labels(self, left: Array, bottom: Array) -> None:
        last = self.values.shape[2] - 1
        first_x, last_x = (self.x()[-1, :, place] for place in (0, last))
        for start, end, y in zip(first_x, last_x, bottom + AXIS_BOTTOM / 2, strict=True):
            self.sheet.text(start, y, "0", ha="center", size=SMALL)
            self.sheet.text(end, y, str(last), ha="center", size=SMALL)
        middle = (left.min() + left.max() + self.sheet.tile[0]) / 2
        quantity = "time step" if self.over_time else "index of the value"
        self.sheet.text(middle, bottom.max() + AXIS_BOTTOM + LINE / 2, quantity, ha="center")
        y = (self.sheet.corners[..., 1].min() + bottom.max()) / 2
        x = self.sheet.corners[..., 0].min() - AXIS_LEFT + LINE / 2
        self.sheet.text(x, y, "standard deviations", ha="center", rotation=90)

    def curves(self) -> None:
        """Draw the second curves, pale, and the first ones on top; vectors as bars."""
        if self.as_bars:
            self._bars()
            return
        if self.pale is not None:
            self._lines(self.pale, second=True, linewidth=3.5 * POINTS)
        self._lines(self.values, second=False, linewidth=1.4 * POINTS)

    def _colour(self, line: int, second: bool) -> dict[str, Any]:
        if self.values.shape[-1] == 1:
            return {"color": CYCLE[second]}
        return {"color": CYCLE[line], "alpha": PALENESS if second else 1.0}

    def _lines(self, scores: Array, second: bool, **options: Any) -> None:
        x, y = self.x(), self.y(scores)
        gap = [(0, 0), (0, 0), (0, 1)]  # NaN between two plots lifts the pen
        x = np.pad(x, gap, constant_values=np.nan).ravel()
        for line in range(y.shape[-1]):
            heights = np.pad(y[..., line], gap, constant_values=np.nan).ravel()
            options |= self._colour(line, second)
            self.sheet.axes.plot(x, heights, **options)
            alone = _alone(heights)  # a line needs two points, a single value would be invisible
            self.sheet.axes.plot(x[alone], heights[alone], ".", **options)

    def _bars(self) -> None:
        batches = [self.values] if self.pale is None else [self.values, self.pale]
        zero = self.y(np.zeros(self.values.shape[:3]))
        width = 0.8 / len(batches)
        for k, scores in enumerate(batches):
            x, heights = self.x(0.1 + (k + 0.5) * width), self.y(scores[..., 0])
            known = np.isfinite(heights)
            pixels = max(1.0, width * self.inner[0] / x.shape[-1] - 0.5)
            colour = self._colour(0, k == 1)
            self._columns(x[known], zero[known], heights[known], pixels, **colour)

    def legend(self, names: Sequence[str], shade: Shade | None) -> None:
        """Name the curves, the values of sequences and the shaded places above the plots."""
        lines = self.values.shape[-1]
        widths = (10.0, 10.0) if self.as_bars else (1.5, 3.5)
        samples = [(name, self._colour(0, k == 1), widths[k]) for k, name in enumerate(names)]
        samples += [] if shade is None else [(shade.name, {"color": SHADE}, 10.0)]
        values = [(f"value {k}", self._colour(k, False), 1.5) for k in range(lines)]
        values = values if lines > 1 else []
        for y, row in enumerate(row for row in (samples, values) if row):
            x = 2.0 * MARGIN
            for name, colour, width in row:
                height = (y + 0.5) * LINE
                ends = [x, x + 24], [height, height]
                options = {"linewidth": width * POINTS, "solid_capstyle": "butt", **colour}
                self.sheet.axes.plot(*ends, **options)
                self.sheet.text(x + 30, height, name, ha="left")
                x += 30 + text_width(name) + 3 * MARGIN


def _alone(heights: Array) -> Array:
    known = np.isfinite(heights)
    before, after = np.roll(known, 1), np.roll(known, -1)
    return known & ~before & ~after
