"""Panels of curves: coordinates and colours from the Figure objects."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from latentrl.viz.curves import curve, panels
from latentrl.viz.figures import CYCLE, DPI, rasterize, style


def test_a_curve_has_its_band_colour_and_name() -> None:
    x = np.arange(5.0)
    with style():
        figure, (axes,) = panels(1, columns=3)
        curve(axes, x, x**2, x**2 - 1, x**2 + 2, CYCLE[1], "squares")
    (line,), (band,) = axes.lines, axes.collections
    np.testing.assert_array_equal(line.get_xydata(), np.stack([x, x**2], 1))
    assert (to_hex(line.get_color()), line.get_label()) == (CYCLE[1], "squares")
    assert to_hex(band.get_facecolor()[0]) == CYCLE[1]
    corners = band.get_paths()[0].vertices
    assert {tuple(corner) for corner in corners} >= {(2.0, 3.0), (2.0, 6.0)}
    height, width, _ = rasterize(figure).shape
    assert (width, height) == (340, 270)
    assert axes.xaxis.get_gridlines()[0].get_visible()
    assert not axes.spines["top"].get_visible()


def test_panels_beyond_the_last_one_are_empty() -> None:
    with style():
        figure, axes = panels(5, columns=3)
    assert len(axes) == 5
    assert [each.axison for each in figure.axes] == [True] * 5 + [False]
    assert (figure.get_size_inches() * DPI).tolist() == [3 * 340, 2 * 270]


@pytest.mark.parametrize(("count", "columns"), [(0, 3), (2, 0)])
def test_panels_need_one_or_more(count: int, columns: int) -> None:
    with pytest.raises(ValueError, match=f"panels need 1 or more in each row, got {count} in rows"):
        panels(count, columns)
