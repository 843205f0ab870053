"""Strips of text: where letters are, and that they are the letters of the text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from latentrl.viz.captions import BACKGROUND, INK, PALE_INK, caption, side_by_side, titles


def written(pixels: Any) -> Any:
    """Return where a strip is not background, bool ``(H, W)``."""
    return (pixels != BACKGROUND).any(-1)


def test_a_caption_has_names_above_values_in_columns() -> None:
    strip = caption({"return": "12.5", "value": ""}, width=300, size=20)
    assert strip.shape == (60, 300, 3)
    assert strip.dtype == np.uint8
    names, values = written(strip[:30]), written(strip[30:])
    assert names[:, :150].any()
    assert names[:, 150:].any()
    assert values[:, :150].any()
    assert not values[:, 150:].any()
    assert (strip[30:] == INK).all(-1).any()
    assert (strip[:30] == PALE_INK).all(-1).any()


def test_a_value_is_drawn_in_the_letters_of_its_text() -> None:
    strip = written(caption({"": "-0.25"}, width=120, size=20)[30:])
    image = Image.new("L", (120, 30))
    font = ImageFont.load_default(20)
    ImageDraw.Draw(image).text((10, 15), "-0.25", 255, font, anchor="lm")
    letters = np.asarray(image) > 0
    assert (strip & letters).sum() > 0.9 * letters.sum()
    assert strip.sum() < 1.2 * letters.sum()


def test_a_longer_value_moves_nothing() -> None:
    short, long = (caption({"a": text, "b": "7"}, 200, 16) for text in ("1", "1234"))
    np.testing.assert_array_equal(short[:, 100:], long[:, 100:])
    np.testing.assert_array_equal(short[:24], long[:24])


def test_titles_start_with_their_panels() -> None:
    strip = written(titles([("left", 0), ("right", 90)], width=200, size=20))
    columns = np.flatnonzero(strip.any(0))
    assert columns[0] == pytest.approx(10, abs=2)
    assert columns[columns >= 90][0] == pytest.approx(100, abs=2)


def test_panels_side_by_side() -> None:
    panels = [np.full((4, 6, 3), value, np.uint8) for value in (100, 200)]
    row = side_by_side(panels, gap=2, least=20)
    assert row.shape == (4, 20, 3)
    np.testing.assert_array_equal(row[0, :, 0], [100] * 6 + [24] * 2 + [200] * 6 + [24] * 6)
    assert side_by_side(panels, gap=2).shape == (4, 14, 3)
