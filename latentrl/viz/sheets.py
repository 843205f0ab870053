"""Sheets: equal tiles in labelled rows, laid out in pixels, on one figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentrl.types import Array
from latentrl.viz.figures import (
    LINE,
    PAD,
    Figure,
    Size,
    draw_pixels,
    new_figure,
    pixel_axes,
    style,
    text_width,
)
from latentrl.viz.images import enlarge

ROW_GAP, BREAK = 4, 12
"""Pixels between rows, and more before a column at a break."""
LINE_WIDTH = 1000
"""Pixels after which the tiles of a folded sheet continue below."""


@dataclass(frozen=True)
class Labels:
    """Text of a sheet and the arrangement of its columns."""

    rows: Sequence[str] = ()
    """One label for each row, or none."""
    columns: Sequence[str] = ()
    """One label for each column, or none."""
    title: str = ""
    """A line above the tiles."""
    breaks: Sequence[int] = ()
    """Columns with more space before them."""
    fold: bool = False
    """Whether long rows continue below, all rows together; a single row becomes a square."""


@dataclass(frozen=True)
class Margins:
    """Pixels that a sheet leaves for axes and legend."""

    left: int = 0
    """Left of the first column."""
    block: int = 0
    """Below the last row of each block."""
    top: int = 0
    bottom: int = 0
    width: int = 0
    """Least width of the figure."""


class Sheet:
    """A figure of equal tiles in rows, in pixels from its top left corner.

    ``corners`` ``(rows, columns, 2)`` holds the left and top of each tile.
    """

    def __init__(
        self, tile: Size, shape: tuple[int, int], labels: Labels, margins: Margins = Margins()
    ) -> None:
        """Lay out ``shape`` rows and columns of tiles of ``tile`` pixels and write the labels."""
        self.tile, self.labels, self.margins = tile, labels, margins
        widest = max((text_width(name) + PAD for name in labels.columns), default=0)
        self.pitch = max(tile[0] + ROW_GAP, widest)
        self.per_line = _per_line(shape, self.pitch) if labels.fold else shape[1]
        self.corners = self._corners(*shape)
        self.first = self.corners[:, :: self.per_line]
        """Corners of the first tile of each line, ``(rows, blocks, 2)``."""
        self.size = self._size()
        self.figure = new_figure(self.size)
        self.axes = pixel_axes(self.figure, self.size)
        self._write()

    def _corners(self, rows: int, columns: int) -> Array:
        block, column = np.divmod(np.arange(columns), self.per_line)
        row = np.arange(rows)[:, None]
        names = max((text_width(name) + PAD for name in self.labels.rows), default=0)
        breaks = np.searchsorted(np.sort(np.asarray(self.labels.breaks)), column, "right")
        left = PAD + names + self.margins.left + (self.pitch - self.tile[0]) // 2
        step = self.tile[1] + ROW_GAP
        head = LINE if self.labels.columns else 0
        height = head + rows * step + self.margins.block + PAD
        top = PAD // 2 + self.margins.top + (LINE if self.labels.title else 0) + head
        lefts = left + column * self.pitch + BREAK * breaks
        tops = top + block * height + row * step
        return np.stack([np.broadcast_to(lefts, tops.shape), tops], -1)

    def _size(self) -> Size:
        right, bottom = self.corners.max((0, 1)) + self.tile
        side = (self.pitch - self.tile[0]) // 2 + PAD
        width = max(int(right) + side, text_width(self.labels.title) + 2 * PAD, self.margins.width)
        below = ROW_GAP + self.margins.block + self.margins.bottom + PAD // 2
        return width, int(bottom) + below

    def _write(self) -> None:
        width, height = self.tile
        if self.labels.title:
            self.text(PAD, PAD // 2 + self.margins.top + LINE / 2, self.labels.title, ha="left")
        for name, starts in zip(self.labels.rows, self.first, strict=bool(self.labels.rows)):
            for left, top in starts:
                self.text(left - self.margins.left - PAD, top + height / 2, name, ha="right")
        for name, (left, top) in zip(self.labels.columns, self.corners[0], strict=False):
            self.text(left + width / 2, top - LINE / 2, name, ha="center")

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        """Write ``text``, vertically centred at a point in pixels."""
        # Without parse_math a label with two dollar signs would be read as TeX.
        self.axes.text(x, y, text, **{"va": "center", "parse_math": False, **options})


def _per_line(shape: tuple[int, int], pitch: int) -> int:
    rows, columns = shape
    fitting = max(1, LINE_WIDTH // pitch)
    if rows == 1:
        return min(fitting, math.ceil(math.sqrt(columns)))
    # Lines of equal length: ten tiles where nine fit become five and five, not nine and one.
    return math.ceil(columns / math.ceil(columns / fitting))


def image_sheet(rows: Sequence[Array], labels: Labels = Labels()) -> Figure:
    """Draw batches of RGB images ``(B, H, W, 3)`` of one size as labelled rows."""
    tiles = [[enlarge(image) for image in row] for row in rows]
    height, width, _ = tiles[0][0].shape
    with style():
        sheet = Sheet((width, height), (len(rows), len(tiles[0])), labels)
        canvas = np.full((sheet.size[1], sheet.size[0], 3), 255, np.uint8)
        for row, corners in zip(tiles, sheet.corners, strict=True):
            for tile, (left, top) in zip(row, corners, strict=True):
                canvas[top : top + height, left : left + width] = tile
        draw_pixels(sheet.figure, canvas)
    return sheet.figure
