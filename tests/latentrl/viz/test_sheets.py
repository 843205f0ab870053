"""Layout and text of sheets, and the pixels of their images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentrl.viz.figures import rasterize, text_width
from latentrl.viz.sheets import BREAK, LINE_WIDTH, ROW_GAP, Labels, Margins, Sheet, image_sheet


def blocks(count: int, side: int = 96) -> Any:
    """Images of one colour each, ``(count, side, side, 3)``; their red channel is the index."""
    images = np.full((count, side, side, 3), 90, np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    return images


def test_sheet_has_labels_and_every_pixel_of_its_images() -> None:
    rows = [blocks(3), 200 - blocks(3)]
    labels = Labels(("first", "second"), ("a", "b", "c"), "the title", breaks=(1,))
    figure = image_sheet(rows, labels)
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "the title",
        "first",
        "second",
        "a",
        "b",
        "c",
    ]
    pixels = rasterize(figure)
    assert pixels.dtype == np.uint8
    for row in rows:
        for image in row:
            assert (pixels == image[0, 0]).all(-1).sum() == 96 * 96


def test_sheet_positions() -> None:
    sheet = Sheet((50, 40), (2, 3), Labels(breaks=(1, 2)))
    (left, top), (second, _), (third, _) = sheet.corners[0]
    assert (second - left, third - second) == (50 + ROW_GAP + BREAK, 50 + ROW_GAP + BREAK)
    assert (sheet.corners[1, :, 1] == top + 40 + ROW_GAP).all()
    assert sheet.size[0] > third + 50
    assert sheet.size[1] >= sheet.corners[..., 1].max() + 40


def test_wide_column_labels_do_not_overlap() -> None:
    labels = Labels(columns=["a long label", "another label"])
    sheet = Sheet((10, 10), (1, 2), labels)
    assert np.diff(sheet.corners[0, :, 0]) > text_width("another label")


def test_long_rows_are_folded_evenly() -> None:
    sheet = Sheet((96, 96), (2, 12), Labels(rows=("a", "b"), fold=True))
    assert sheet.per_line == 6, "12 do not fit in a line of 10"
    assert sheet.size[0] < LINE_WIDTH
    tops = sheet.corners[..., 1]
    assert (tops[0, 6:] > tops[1, :6]).all(), "the second block is below both rows"
    written = [text.get_text() for text in sheet.axes.texts]
    assert written == ["a", "a", "b", "b"], "each block has row labels"


@pytest.mark.parametrize(("count", "per_line"), [(1, 1), (9, 3), (64, 8), (400, 10)])
def test_a_single_row_is_folded_to_a_square(count: int, per_line: int) -> None:
    assert Sheet((96, 96), (1, count), Labels(fold=True)).per_line == per_line


def test_margins_and_title_widen_a_sheet() -> None:
    plain = Sheet((50, 40), (1, 1), Labels())
    wide = Sheet((50, 40), (1, 1), Labels(), Margins(width=480))
    titled = Sheet((50, 40), (1, 1), Labels(title="a title of many words"))
    assert plain.size[0] < titled.size[0] < wide.size[0] == 480
