"""Strips of text above and below images, drawn by Pillow: fast enough for a video's frames."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from latentrl.types import Array

BACKGROUND, INK, PALE_INK = (24, 24, 27), (244, 244, 245), (161, 161, 170)
"""Colours of a strip, of its values and of their names."""
NAME, LINE, MARGIN = 0.8, 1.5, 0.5
"""Letters of a name, a line, and the space left of a text, in heights of the letters of a value."""


def side_by_side(panels: Sequence[Array], gap: int, least: int = 0) -> Array:
    """Return panels ``(H, W, 3)`` of one height in a row, ``gap`` pixels apart.

    A row of fewer than ``least`` pixels is extended on the right.
    """
    width = max(least, sum(panel.shape[1] + gap for panel in panels) - gap)
    row = np.full((panels[0].shape[0], width, 3), BACKGROUND, np.uint8)
    left = 0
    for panel in panels:
        row[:, left : left + panel.shape[1]] = panel
        left += panel.shape[1] + gap
    return row


def titles(starts: Sequence[tuple[str, int]], width: int, size: int) -> Array:
    """Return a strip with names, each from the pixel where its panel below starts.

    Args:
        starts: name and left of each panel.
        width: width of the strip in pixels.
        size: height in pixels of the letters of a value; names are a little smaller.

    Returns:
        RGB ``(H, width, 3)``.
    """
    strip = _Strip(width, 1, size)
    for name, left in starts:
        strip.write(left, 0, name, PALE_INK, NAME)
    return strip.pixels


def caption(values: Mapping[str, str], width: int, size: int) -> Array:
    """Return a strip with each name above its value, in columns of equal width.

    Args:
        values: text by name; equal names have equal places, so that nothing moves in a video.
        width: width of the strip in pixels.
        size: height in pixels of the letters of a value.

    Returns:
        RGB ``(H, width, 3)``.
    """
    strip = _Strip(width, 2, size)
    for column, (name, value) in enumerate(values.items()):
        left = column * width // len(values)
        strip.write(left, 0, name, PALE_INK, NAME)
        strip.write(left, 1, value, INK)
    return strip.pixels


class _Strip:
    """Lines of text on a dark background."""

    def __init__(self, width: int, lines: int, size: int) -> None:
        # Even, as the sides of H.264 have to be.
        self.size, self.line = size, 2 * round(size * LINE / 2)
        self.image = Image.new("RGB", (width, lines * self.line), BACKGROUND)
        self._draw = ImageDraw.Draw(self.image)

    def write(
        self, left: int, line: int, text: str, colour: tuple[int, int, int], scale: float = 1.0
    ) -> None:
        place = left + round(self.size * MARGIN), (line + 0.5) * self.line
        font = _font(round(self.size * scale))
        self._draw.text(place, text, fill=colour, font=font, anchor="lm")

    @property
    def pixels(self) -> Array:
        return np.asarray(self.image)


@functools.cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
