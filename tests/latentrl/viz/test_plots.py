"""Sheets of sequences and vectors: coordinates from the Figure objects, colours from pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from matplotlib.colors import to_rgb

import latentrl as lrl
from latentrl.viz.figures import CYCLE, rasterize
from latentrl.viz.plots import (
    FARTHEST,
    MARGIN,
    PANEL,
    SHADE,
    Plots,
    Shade,
    comparison_sheet,
    observation_sheet,
    standard_scores,
)
from latentrl.viz.sheets import Labels

MEAN, STD = 5.0, 2.0


def model_of(*shape: int) -> lrl.Autoencoder:
    """An untrained model whose data has one mean and one standard deviation everywhere."""
    model = lrl.ae(spaces.Box(-np.inf, np.inf, shape, np.float32), 1)
    with torch.no_grad():
        model.preprocess.mean.fill_(MEAN)
        model.preprocess.std.fill_(STD)
    return model


def plots(values: Any, pale: Any = None, over_time: bool = True) -> Plots:
    return Plots(PANEL, values, pale, Labels(fold=True), over_time)


def written(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def lines_of(plot: Plots, colour: str) -> list[Any]:
    return [line for line in plot.sheet.axes.lines if line.get_color() == colour]


def test_scores_are_standard_deviations_and_clipped() -> None:
    scores = standard_scores(model_of(4, 3), np.full((2, 4, 3), MEAN + 1.5 * STD))
    assert scores.shape == (2, 4, 3)
    assert scores == pytest.approx(1.5)
    assert standard_scores(model_of(7), np.full((2, 7), 1e30)).shape == (2, 7, 1)
    assert standard_scores(model_of(7), np.full((2, 7), 1e30)).max() == FARTHEST
    assert standard_scores(model_of(4, 20), np.zeros((2, 4, 20))).shape[-1] == len(CYCLE)


def test_curves_are_where_their_values_are() -> None:
    values = np.zeros((1, 1, 10, 2))
    values[0, 0, :, 1] = np.linspace(-2, 2, 10)
    plot = plots(values)
    plot.curves()
    (left, top), (width, height) = plot.sheet.corners[0, 0], PANEL
    (flat,), (rising,) = (
        [line for line in lines_of(plot, colour) if len(line.get_xdata()) == 11]
        for colour in CYCLE[:2]
    )
    assert flat.get_ydata()[:10] == pytest.approx(top + height / 2), "zero is in the middle"
    assert rising.get_ydata()[[0, 9]] == pytest.approx([top + height - MARGIN, top + MARGIN])
    inner = width - 2 * MARGIN
    expected = [left + MARGIN + inner * 0.05, left + MARGIN + inner * 0.95]
    assert rising.get_xdata()[[0, 9]] == pytest.approx(expected)
    assert np.isnan(rising.get_ydata()[10]), "no line leads to the next plot"


def test_missing_values_are_gaps_and_a_value_between_two_gaps_is_a_dot() -> None:
    values = np.ones((1, 1, 10, 1))
    values[0, 0, [3, 5, 6]] = np.nan
    plot = plots(values)
    plot.curves()
    line, dots = lines_of(plot, CYCLE[0])
    assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [3, 5, 6, 10]
    assert dots.get_marker() == "."
    assert dots.get_xdata() == pytest.approx(line.get_xdata()[[4]])


def test_scale_covers_both_batches_and_zero() -> None:
    plot = plots(np.full((1, 2, 5, 1), 0.5), np.full((1, 2, 5, 1), 3.0))
    assert (plot.low, plot.high) == (-0.1, 3.0)


def test_bars_reach_from_zero_to_their_values() -> None:
    values, pale = np.array([[[[1.0], [-2.0], [np.nan]]]]), np.zeros((1, 1, 3, 1))
    plot = plots(values, pale, over_time=False)
    plot.curves()
    first, second = plot.sheet.axes.collections
    segments = first.get_segments()
    assert len(segments) == 2, "NaN has no bar"
    zero, one, minus_two = plot.y(np.array([[[0.0, 1.0, -2.0]]]))[0, 0]
    assert segments[0][:, 1] == pytest.approx([zero, one])
    assert segments[1][:, 1] == pytest.approx([zero, minus_two])
    assert len(second.get_segments()) == 3
    assert second.get_segments()[0][0, 0] > segments[0][0, 0], "side by side"


def test_long_vectors_are_lines() -> None:
    plot = plots(np.zeros((1, 1, 40, 1)), over_time=False)
    assert not plot.as_bars
    plot.curves()
    assert not plot.sheet.axes.collections


@pytest.mark.parametrize(("shape", "axis"), [((7,), "index of the value"), ((10, 2), "time step")])
def test_axes_are_labelled(shape: tuple[int, ...], axis: str) -> None:
    observations = np.full((3, *shape), MEAN + STD, np.float32)
    labels = Labels(rows=("a row",), columns=("x", "y", "z"))
    figure = observation_sheet(model_of(*shape), [observations], labels)
    found = written(figure)
    assert {"a row", "x", "y", "z", axis, "standard deviations", "0", "1"} <= set(found)
    assert str(shape[0] - 1) in found, "the last index"
    assert ("value 1" in found) == (len(shape) == 2)


def test_comparison_has_a_legend_and_shaded_places() -> None:
    model = model_of(10, 1)
    first, second = (np.full((4, 10, 1), MEAN + k * STD, np.float32) for k in (1, -1))
    amount = np.zeros((4, 10))
    amount[:, 2] = 1
    figure = comparison_sheet(
        model, ("observed", "decoded"), [(first, second)], shade=Shade("hole", amount)
    )
    assert {"observed", "decoded", "hole"} <= set(written(figure))
    pixels = rasterize(figure)
    counts = {
        colour: (pixels == np.round(np.multiply(to_rgb(colour), 255))).all(-1).sum()
        for colour in (SHADE, CYCLE[0], CYCLE[1])
    }
    panel = (PANEL[0] - 2 * MARGIN) / 10 * PANEL[1]
    assert counts[SHADE] == pytest.approx(4 * panel, rel=0.2)
    assert min(counts.values()) > 200


@pytest.mark.parametrize("shape", [(7,), (60,), (10, 1), (10, 12)])
@pytest.mark.parametrize("count", [1, 5])
def test_all_text_is_inside_the_figure(shape: tuple[int, ...], count: int) -> None:
    batch = np.full((count, *shape), MEAN + 20 * STD, np.float32)
    shade = Shade("nll (darker is higher)", np.ones((count, shape[0])))
    names = "corrupted or restored", "clean"
    labels = Labels(("dimension 12 (3.4 nats)",), ["alarm, -1234.5"] * count, fold=True)
    model = model_of(*shape)
    for figure in (
        comparison_sheet(model, names, [(batch, -batch)], labels, shade),
        observation_sheet(model, [batch], labels),
    ):
        rasterize(figure)
        for text in figure.axes[0].texts:
            box = text.get_window_extent()
            assert min(box.x0, box.y0) >= 0, text.get_text()
            assert (box.max <= figure.bbox.size).all(), text.get_text()


def test_images_become_a_sheet_of_images(images: Any) -> None:
    model = lrl.ae((32, 32, 3), 4)
    figure = observation_sheet(model, [images[:2]], Labels(columns=("a", "b")))
    assert written(figure) == ["a", "b"]
    pixels = rasterize(figure)
    brightest = images[0].reshape(-1, 3)[images[0].sum(-1).argmax()]
    square = (images[0] == brightest).all(-1).sum()
    assert (pixels == brightest).all(-1).sum() == 9 * square
