"""Pictures with captions: rows of tiles with a name on the left, and columns with one above."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from latentrl.types import Array
from latentrl.viz.images import GAP, grid

LINE_WIDTH = 1000
"""Pixels after which tiles go to the next line."""
PAD, FONT_SIZE, LINE_HEIGHT, BREAK = 8, 14, 22, 10
BAR_HEIGHT, CELL = 160, 28
ROW_GAP = 4
WHITE, INK = 255, (70, 70, 70)
MARKED, UNMARKED = (49, 104, 142), (205, 205, 205)


def sheet(
    rows: Sequence[Sequence[Array]],
    names: Sequence[str] = (),
    columns: Sequence[str] = (),
    breaks: Collection[int] = (),
    fold: bool = False,
) -> Array:
    """Lay RGB tiles ``(H, W, 3)`` out in rows of equal length.

    Args:
        rows: the tiles.
        names: one for each row, or none.
        columns: one for each column, or none.
        breaks: columns that have more space before them.
        fold: go on below, with all rows together, where they are long.
    """
    names = names or [""] * len(rows)
    if not fold:
        return _block(rows, names, columns, breaks)
    per_line = max(2, LINE_WIDTH // grid([rows[0][:1]]).shape[1])
    parts = [slice(start, start + per_line) for start in range(0, len(rows[0]), per_line)]
    return stack([_block([row[part] for row in rows], names, columns[part]) for part in parts])


def _block(
    rows: Sequence[Sequence[Array]],
    names: Sequence[str],
    columns: Sequence[str] = (),
    breaks: Collection[int] = (),
) -> Array:
    tiles = grid(rows)
    height, width = (tiles.shape[0] - GAP) // len(rows), (tiles.shape[1] - GAP) // len(rows[0])
    tiles = _spaced(
        _spaced(tiles, [i * height for i in range(1, len(rows))], ROW_GAP, 0),
        [k * width for k in breaks],
        BREAK,
        1,
    )
    height += ROW_GAP
    font = ImageFont.load_default(FONT_SIZE)
    left = max(int(font.getlength(name)) + 2 * PAD if name else 0 for name in names)
    top = LINE_HEIGHT if columns else 0
    canvas = Canvas(left + tiles.shape[1], top + tiles.shape[0])
    canvas.image.paste(Image.fromarray(tiles), (left, top))
    for i, name in enumerate(names):
        canvas.write(left - PAD, top + GAP + (i + 0.5) * height, name, "rm")
    for k, name in enumerate(columns):
        shift = BREAK * sum(k >= position for position in breaks)
        canvas.write(left + GAP + shift + (k + 0.5) * width, top / 2, name, "mm")
    return canvas.pixels()


def _spaced(image: Array, places: Sequence[int], gap: int, axis: int) -> Array:
    return np.insert(image, np.array(places, int).repeat(gap), WHITE, axis)


def stack(blocks: Sequence[Array]) -> Array:
    """Lay RGB pictures of any width out below each other on white."""
    width = max(block.shape[1] for block in blocks)
    padded = [
        np.pad(b, ((0, BREAK), (0, width - b.shape[1]), (0, 0)), constant_values=WHITE)
        for b in blocks
    ]
    return np.concatenate(padded)


def bars(values: Array, names: Sequence[str], title: str, marked: Array) -> Array:
    """Draw one bar for each non-negative value, in colour where ``marked``, with the names
    below.
    """
    count, top = len(values), max(float(values.max()), 1e-12)
    step = int(np.clip(LINE_WIDTH // count, 4, 40))
    canvas = Canvas(max(step * count, 320) + 2 * PAD, BAR_HEIGHT + 3 * LINE_HEIGHT)
    base = 2 * LINE_HEIGHT + BAR_HEIGHT
    canvas.write(PAD, LINE_HEIGHT / 2, title, "lm")
    for i, (value, mark) in enumerate(zip(values, marked, strict=True)):
        left, height = PAD + i * step, BAR_HEIGHT * float(value) / top
        canvas.draw.rectangle(
            (left, base - height, left + step - 2, base), MARKED if mark else UNMARKED
        )
        if step >= canvas.font.getlength(names[i]):
            canvas.write(left + step / 2, base + LINE_HEIGHT / 2, names[i], "mm")
    canvas.write(PAD, LINE_HEIGHT * 1.5, f"{top:.3g} at most", "lm")
    return canvas.pixels()


def table(values: Array, rows: Sequence[str], columns: Sequence[str], title: str) -> Array:
    """Draw shares ``(rows, columns)`` as a table of coloured cells."""
    font = ImageFont.load_default(FONT_SIZE)
    left = max(int(font.getlength(name)) for name in rows) + 2 * PAD
    width = max(int(font.getlength(name)) for name in [*columns, "0.00"]) + 2 * PAD
    canvas = Canvas(
        max(left + width * len(columns), int(font.getlength(title))) + 2 * PAD,
        (len(rows) + 2) * CELL,
    )
    canvas.write(PAD, CELL / 2, title, "lm")
    for k, name in enumerate(columns):
        canvas.write(left + (k + 0.5) * width, 1.5 * CELL, name, "mm")
    for i, name in enumerate(rows):
        canvas.write(left - PAD, (i + 2.5) * CELL, name, "rm")
        for k, value in enumerate(values[i]):
            _cell(canvas, left + k * width, (i + 2) * CELL, width, float(value))
    return canvas.pixels()


def _cell(canvas: Canvas, left: int, top: int, width: int, value: float) -> None:
    share = min(max(value, 0.0), 1.0)
    colour = tuple(round((1 - share) * 255 + share * channel) for channel in MARKED)
    canvas.draw.rectangle((left + 1, top + 1, left + width - 1, top + CELL - 1), colour)
    canvas.write(
        left + width / 2, top + CELL / 2, f"{value:.2f}", "mm", (255,) * 3 if share > 0.6 else INK
    )


class Canvas:
    """White paper to write on."""

    def __init__(self, width: int, height: int) -> None:
        """Take a sheet of so many pixels."""
        self.image = Image.new("RGB", (width, height), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.font = ImageFont.load_default(FONT_SIZE)

    def write(
        self, x: float, y: float, text: str, anchor: str, colour: tuple[int, ...] = INK
    ) -> None:
        """Write ``text`` with its ``anchor``, such as "lm" for the middle of its left side, at a
        place in pixels.
        """
        self.draw.text((x, y), text, colour, self.font, anchor=anchor)

    def pixels(self) -> Array:
        """Return the picture, uint8 RGB."""
        return np.asarray(self.image)
