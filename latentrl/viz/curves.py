"""Panels of curves with bands, such as mean returns over runs and their intervals."""

from __future__ import annotations

import math

from latentrl.types import Array
from latentrl.viz.figures import FONT, Axes, Figure, new_figure

PANEL = (340, 270)
"""Width and height of a panel in pixels, labels included."""
PALENESS = 0.2
"""Opacity of a band."""


def panels(count: int, columns: int, x: str = "", y: str = "") -> tuple[Figure, list[Axes]]:
    """Return a figure and ``count`` axes on it, in rows of ``columns`` or fewer.

    Make and fill them within ``style()``. The quantities ``x`` and ``y`` are those of all axes.

    Raises:
        ValueError: ``count`` or ``columns`` is less than 1.
        ImportError: matplotlib is missing.
    """
    if min(count, columns) < 1:
        raise ValueError(f"panels need 1 or more in each row, got {count} in rows of {columns}")
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = new_figure((columns * PANEL[0], rows * PANEL[1]), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    figure.supxlabel(x, fontsize=FONT)
    figure.supylabel(y, fontsize=FONT)
    for used in axes[:count]:
        used.grid()
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def curve(
    axes: Axes, x: Array, middle: Array, low: Array, high: Array, colour: str, label: str
) -> None:
    """Draw a curve, and a pale band from ``low`` to ``high`` behind it.

    Args:
        axes: one of ``panels``.
        x: positions ``(N,)``.
        middle: the curve, ``(N,)``, such as a mean.
        low: lower bounds, ``(N,)``.
        high: upper bounds, ``(N,)``.
        colour: one of ``CYCLE``, or ``BASELINE`` for what the others are compared with.
        label: name in the legend.
    """
    axes.fill_between(x, low, high, color=colour, alpha=PALENESS, linewidth=0)
    axes.plot(x, middle, color=colour, label=label)
