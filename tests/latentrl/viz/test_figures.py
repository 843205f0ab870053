"""Figures: text and positions from the Figure objects, colours from the rendered pixels."""

from __future__ import annotations

import builtins
import io
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_rgb
from PIL import Image

from latentrl.viz import figures
from latentrl.viz.figures import CYCLE, bars, rasterize, table, ticks


def texts(figure: Any) -> list[str]:
    """Return all text of a figure that is not an automatic tick label."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
    return [text for text in [*found, *(text.get_text() for text in figure.texts)] if text]


def test_bars_have_heights_names_and_colours() -> None:
    values, active = np.array([4.0, 2.0, 0.5]), np.array([True, True, False])
    figure = bars(values, ["7", "0", "3"], active, "the title", "KL, nats")
    (axes,) = figure.axes
    heights = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in axes.patches}
    assert heights == pytest.approx({0: 4.0, 1: 2.0, 2: 0.5})
    assert texts(figure) == ["the title", "dimension", "KL, nats"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["7", "0", "3"]
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["active", "inactive"]
    pixels = rasterize(figure).reshape(-1, 3)
    blue, grey = ((pixels == colour).all(1).sum() for colour in ((0, 114, 178), (204, 204, 204)))
    assert blue / grey == pytest.approx(6 / 0.5, rel=0.15)


def test_bars_without_inactive_dimensions_have_no_such_legend() -> None:
    figure = bars(np.ones(2), ["0", "1"], np.ones(2, bool), "title", "KL")
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["active"]


def test_many_bars_have_few_names() -> None:
    names = [str(k) for k in range(500)]
    figure = bars(np.ones(500), names, np.ones(500, bool), "title", "KL")
    assert 20 < len(figure.axes[0].get_xticks()) < 60
    assert figure.get_size_inches()[0] * figure.dpi < 1500


def test_table_has_numbers_in_cells_of_matching_colour() -> None:
    values = np.array([[0.0, 1.0], [0.25, 0.5]])
    figure = table(values, ["dimension 3", "dimension 1"], ["a", "b"], "the title")
    assert texts(figure) == ["0.00", "1.00", "0.25", "0.50", "the title"]
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dimension 3", "dimension 1"]
    pixels = rasterize(figure)
    columns = np.nonzero((pixels == (8, 48, 107)).all(-1))[1]  # the darkest blue
    assert len(columns) > 1_000
    assert columns.min() > pixels.shape[1] / 2, "the cell of 1.00 is on the right"


def test_ticks_are_round_numbers_inside() -> None:
    assert ticks(-2.3, 2.9).tolist() == [-2, 0, 2]
    assert ticks(-0.1, 0.1).tolist() == pytest.approx([-0.1, -0.05, 0, 0.05, 0.1])


def test_png_is_the_rendered_figure() -> None:
    figure = table(np.eye(2), ["a", "b"], ["c", "d"], "title")
    decoded = np.asarray(Image.open(io.BytesIO(figures.figure_png(figure))))
    np.testing.assert_array_equal(decoded, rasterize(figure))


def test_style_is_restored() -> None:
    before = dict(rcParams)
    rasterize(bars(np.ones(2), ["0", "1"], np.ones(2, bool), "title", "KL"))
    assert dict(rcParams) == before


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"figures need matplotlib: pip install 'latentrl\[viz\]"):
        table(np.eye(2), ["a", "b"], ["c", "d"], "title")


def test_optional_figures_are_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures.can_draw("the novelty map")
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match=r"the novelty map is not drawn.*latentrl\[viz\]"):
        assert not figures.can_draw("the novelty map")


def test_pyplot_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def checked(name: str, *args: Any, **options: Any) -> Any:
        assert name != "matplotlib.pyplot"
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", checked)
    rasterize(table(np.eye(2), ["a", "b"], ["c", "d"], "title"))


VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""Simulation of colour blindness in linear RGB (Machado et al. 2009, severity 1)."""


@pytest.mark.parametrize("kind", VISION)
def test_colours_differ_for_the_colour_blind(kind: str) -> None:
    rgb = np.array([to_rgb(colour) for colour in CYCLE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[kind]).T, 0, 1)
    # OpenCV takes the gamma of sRGB off again, and returns CIELAB: L in 0..100.
    gamma = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(gamma[None].astype(np.float32), cv2.COLOR_RGB2Lab)[0]
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1_000 * np.eye(len(lab))
    assert distances.min() > 15, "2 is a difference that is just visible"
    assert lab[:, 0].max() < 75, "a line on white"
