"""Tiles of any observations: images as they are, sequences as lines over time, vectors over the
value's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import VectorPreprocessor, is_image
from latentrl.types import Array
from latentrl.viz.images import shown
from latentrl.viz.sheets import FONT_SIZE, INK, LINE_HEIGHT, PAD, WHITE, Canvas, sheet, stack

TILE, PANEL = (128, 96), (320, 160)
"""Width and height in pixels of a plot among many, and of one with two curves."""
MARGIN = 6
LINES, BARS = 8, 32
"""Values of a sequence that are drawn, and values of a vector that are drawn as bars rather than as
a line."""
FARTHEST = 10.0
"""Standard deviations after which a curve leaves its plot."""
BITS = 4
"""Binary digits behind the point of a place in pixels."""
COLOURS = (
    (49, 104, 142),
    (214, 96, 30),
    (44, 140, 70),
    (190, 40, 60),
    (130, 90, 175),
    (130, 85, 70),
    (205, 95, 165),
    (110, 110, 110),
)
PALENESS = 0.55
AXIS, FRAME, SHADE = (225, 225, 225), (190, 190, 190), (255, 222, 160)
SWATCH = 26
"""Width of a legend's samples in pixels."""

Size = tuple[int, int]
Colour = tuple[int, ...]


class Painter:
    """Turns images into tiles."""

    def __init__(self, model: Autoencoder) -> None:
        """Take the range of colours from ``model``."""
        self.model = model

    def tiles(self, observations: Array) -> list[Array]:
        """Return one RGB tile for each of ``(B, *shape)``."""
        return shown(self.model, observations)

    def titled(self, picture: Array) -> Array:
        """Return a picture made of tiles, with what they need to be read."""
        return picture


def painter(model: Autoencoder, *arrays: Array) -> Painter:
    """Return what draws the observations of ``model``; plots get one scale, that of ``arrays``."""
    return Painter(model) if is_image(model.observation_space) else Plotter(model, *arrays)


class Plotter(Painter):
    """Turns sequences and vectors into plots on one scale, in standard deviations of the training
    data.
    """

    def __init__(self, model: Autoencoder, *arrays: Array) -> None:
        """Take the scale from ``arrays`` of observations, ``(..., *shape)``."""
        super().__init__(model)
        shape = model.observation_space.shape
        values = np.concatenate(
            [self.curves(array.reshape(-1, *shape)).ravel() for array in arrays]
        )
        values = np.clip(values[np.isfinite(values)], -FARTHEST, FARTHEST)
        self.low, self.high = (
            float(min(values.min(initial=0), -0.1)),
            float(max(values.max(initial=0), 0.1)),
        )
        self.over_time = len(shape) == 2

    def curves(self, observations: Array) -> Array:
        """Return standard scores ``(B, places, lines)``: a line for each value of a sequence, one
        for a vector.
        """
        pre = self.model.preprocess
        assert isinstance(pre, VectorPreprocessor)
        scores: Array = (observations - pre.mean.cpu().numpy()) / pre.std.cpu().numpy()
        return scores[..., :LINES] if scores.ndim == 3 else scores[..., None]

    def tiles(self, observations: Array) -> list[Array]:
        """Return a small plot of each."""
        return [self.plot(TILE, curves) for curves in self.curves(observations)]

    def titled(self, picture: Array) -> Array:
        """Return the picture below a line that says what the axes are."""
        return stack([_legend([], self.axes()), picture])

    def panels(self, strong: Array, pale: Array | None, shade: Array | None) -> list[Array]:
        """Return plots of two batches together, the second one pale; ``shade`` ``(B, places)`` is
        in [0, 1].
        """
        behind = [None] * len(strong) if pale is None else self.curves(pale)
        shades = [None] * len(strong) if shade is None else shade
        return [
            self.plot(PANEL, *three)
            for three in zip(self.curves(strong), behind, shades, strict=True)
        ]

    def plot(
        self, size: Size, strong: Array, pale: Array | None = None, shade: Array | None = None
    ) -> Array:
        """Return the RGB plot of curves ``(places, lines)``."""
        canvas = np.full((size[1], size[0], 3), WHITE, np.uint8)
        if shade is not None:
            _shade(canvas, shade)
        self._axis(canvas)
        if not self.over_time and len(strong) <= BARS:
            self._bars(canvas, [curves[:, 0] for curves in (strong, pale) if curves is not None])
        else:
            self._lines(canvas, strong, pale)
        cv2.rectangle(canvas, (0, 0), (size[0] - 1, size[1] - 1), FRAME)
        return canvas

    def _axis(self, canvas: Array) -> None:
        height = round(float(self._height(canvas, np.zeros(1))[0]))
        cv2.line(canvas, (0, height), (canvas.shape[1] - 1, height), AXIS)

    def _lines(self, canvas: Array, strong: Array, pale: Array | None) -> None:
        for curves, mix, width in ((pale, PALENESS, 3), (strong, 0.0, 1)):
            for k in range(0 if curves is None else curves.shape[1]):
                assert curves is not None
                _line(canvas, self._height(canvas, curves[:, k]), _lighter(COLOURS[k], mix), width)

    def _bars(self, canvas: Array, rows: list[Array]) -> None:
        zero = float(self._height(canvas, np.zeros(1))[0])
        step = (canvas.shape[1] - 2 * MARGIN) / len(rows[0])
        width = 0.8 * step / len(rows)
        for k, row in enumerate(rows):
            colour = _lighter(COLOURS[0], PALENESS * k)
            for i, height in enumerate(self._height(canvas, row)):
                left = MARGIN + (i + 0.1) * step + k * width
                _bar(canvas, left, left + max(width - 1, 1), zero, float(height), colour)

    def _height(self, canvas: Array, values: Array) -> Array:
        """Return places in pixels from the top, not much outside of the canvas."""
        share = (np.clip(values, 2 * self.low - 1, 2 * self.high + 1) - self.low) / (
            self.high - self.low
        )
        heights: Array = MARGIN + (1 - share) * (canvas.shape[0] - 1 - 2 * MARGIN)
        return heights

    def axes(self) -> str:
        """Say what the axes are, and their ends."""
        shape = self.model.observation_space.shape
        what = f"{shape[0]} values"
        if self.over_time:
            lines = (
                f"{shape[1]} values"
                if shape[1] <= LINES
                else f"the first {LINES} of {shape[1]} values"
            )
            what = f"{lines} over {shape[0]} steps"
        return f"{what}, from {self.low:.2g} to {self.high:.2g} standard deviations"


@dataclass(frozen=True)
class Shade:
    """What is marked behind the curves."""

    name: str
    """Its meaning."""
    amount: Array
    """How strongly, ``(B, places)`` in [0, 1]."""


def compared(
    model: Autoencoder,
    words: tuple[str, str],
    rows: Sequence[tuple[Array, Array]],
    names: Sequence[str] = (),
    columns: Sequence[str] = (),
    shade: Shade | None = None,
) -> Array:
    """Return plots of two batches together, for each pair in ``rows``.

    Args:
        model: of whose environment they are.
        words: what the first, strong, and the second, pale, are.
        rows: pairs of batches, all of one length.
        names: one for each row, or none.
        columns: one for each observation, or none.
        shade: what to mark behind the curves.
    """
    plotter = Plotter(model, *(batch for pair in rows for batch in pair))
    panels = [plotter.panels(*pair, None if shade is None else shade.amount) for pair in rows]
    samples = [(words[0], COLOURS[0], 1), (words[1], _lighter(COLOURS[0], PALENESS), 3)]
    samples += [] if shade is None else [(shade.name, SHADE, FONT_SIZE)]
    return stack([_legend(samples, plotter.axes()), sheet(panels, names, columns, fold=True)])


def _legend(samples: Sequence[tuple[str, Colour, int]], text: str) -> Array:
    measure = Canvas(1, 1).font.getlength
    width = (
        sum(int(measure(name)) + SWATCH + 3 * PAD for name, *_ in samples)
        + int(measure(text))
        + 2 * PAD
    )
    canvas, left, middle = Canvas(width, LINE_HEIGHT), PAD, LINE_HEIGHT // 2
    for name, colour, thickness in samples:
        top = middle - thickness // 2
        canvas.draw.rectangle((left, top, left + SWATCH, top + thickness - 1), colour)
        canvas.write(left + SWATCH + PAD, middle, name, "lm")
        left += SWATCH + 3 * PAD + int(measure(name))
    canvas.write(left, middle, text, "lm", INK)
    return canvas.pixels()


def _lighter(colour: Colour, mix: float) -> Colour:
    return tuple(round((1 - mix) * channel + mix * WHITE) for channel in colour)


def _centres(canvas: Array, count: int) -> Array:
    centres: Array = MARGIN + (np.arange(count) + 0.5) * (canvas.shape[1] - 2 * MARGIN) / count
    return centres


def _shade(canvas: Array, amount: Array) -> None:
    columns = np.arange(canvas.shape[1]) - MARGIN
    places = np.clip(columns * len(amount) // (canvas.shape[1] - 2 * MARGIN), 0, len(amount) - 1)
    share = np.clip(amount[places], 0, 1)[:, None]
    canvas[:] = ((1 - share) * WHITE + share * np.array(SHADE)).round().astype(np.uint8)


def _line(canvas: Array, heights: Array, colour: Colour, width: int) -> None:
    places = np.stack([_centres(canvas, len(heights)), heights], 1)
    for run in _finite_runs(heights):
        points = (places[run] * (1 << BITS)).round().astype(np.int32)
        points = (
            points.repeat(2, axis=0) if len(points) == 1 else points
        )  # a line of no length is a dot
        thickness = width + 2 if len(run) == 1 else width
        cv2.polylines(canvas, [points], False, colour, thickness, cv2.LINE_AA, BITS)


def _finite_runs(heights: Array) -> Iterator[Array]:
    known = np.flatnonzero(np.isfinite(heights))
    return (run for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(run))


def _bar(
    canvas: Array, left: float, right: float, zero: float, height: float, colour: Colour
) -> None:
    if np.isfinite(height):
        top, bottom = sorted((zero, height))
        cv2.rectangle(
            canvas, (round(left), round(top)), (round(right), round(bottom)), colour, cv2.FILLED
        )
