"""Figures with text: their one style, bars and tables, drawn by matplotlib.

This is the one module that sets a style, for the plots of studies too, and the one that imports
matplotlib (extra ``viz``), when a figure is drawn. A figure is an object of its own: pyplot, which
keeps figures in global state, is not used.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from latentrl.types import Array
from latentrl.viz.images import png

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

Figure: TypeAlias = "matplotlib.figure.Figure"
Axes: TypeAlias = "matplotlib.axes.Axes"
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

DPI = 128
"""Pixels per inch; a power of two, so that pixels / DPI * DPI is exact and tiles stay sharp."""
FONT, SMALL = 8.0, 7.0
"""Font sizes in points: 14 and 12 pixels."""
INK, PALE_INK = "0.25", "0.6"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5a5a5a", "#000000")
"""Colours that differ for the colour-blind, too (Okabe & Ito 2008), grey in place of the yellow,
which is too light for a line on white."""
BASELINE, INACTIVE = "0.6", "0.8"
"""Greys of what others are compared with, and of what has no effect."""
STYLE: dict[str, Any] = {
    "font.size": FONT,
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": FONT,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE_INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": f"cycler('color', {list(CYCLE)})",
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    # Inches around the axes of a figure.
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
}
PAD, LINE = 8, 22
"""Pixels around labels, and of a line of text."""
REMEDY = "pip install 'latentrl[viz]'"
BAR, BARS_HEIGHT, CELL = 26, 320, (72, 32)


def _installed() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def require_matplotlib() -> None:
    """Raise ``ImportError`` with the remedy if matplotlib is missing."""
    if not _installed():
        raise ImportError(f"figures need matplotlib: {REMEDY}")


def can_draw(what: str) -> bool:
    """Return whether matplotlib is installed; if not, warn that ``what`` is left out."""
    if not _installed():
        warnings.warn(f"{what} is not drawn, it needs matplotlib: {REMEDY}", stacklevel=2)
    return _installed()


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the project; matplotlib's own settings are restored afterwards."""
    require_matplotlib()
    from matplotlib import rc_context

    settings: Any = STYLE  # the stubs list every valid key
    with rc_context(settings):
        yield


def new_figure(size: Size, **options: Any) -> Figure:
    """Return an empty figure of ``size`` pixels."""
    require_matplotlib()
    from matplotlib.figure import Figure as MatplotlibFigure

    width, height = size
    return MatplotlibFigure((width / DPI, height / DPI), dpi=DPI, facecolor="white", **options)


def pixel_axes(figure: Figure, size: Size) -> Axes:
    """Return invisible axes over all of ``figure``, in pixels from its top left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    axes.axis("off")
    return axes


def draw_pixels(figure: Figure, canvas: Array) -> None:
    """Draw an RGB array of the size of ``figure`` behind everything else."""
    # figimage copies pixels, where imshow resamples them; of equal zorder it would hide the axes.
    figure.figimage(canvas, zorder=-1)


def rasterize(figure: Figure) -> Array:
    """Render a figure as uint8 RGB, ``(H, W, 3)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    with style():  # tick labels are made, and take their size, while the canvas is drawn
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def figure_png(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    return png(rasterize(figure))


@functools.cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(new_figure((DPI, DPI)))
    return canvas.get_renderer()


def text_width(text: str, size: float = FONT) -> int:
    """Return the width in pixels of the widest line of ``text``, in a font of ``size`` points."""
    require_matplotlib()
    from matplotlib.font_manager import FontProperties

    measure, font = _renderer().get_text_width_height_descent, FontProperties(size=size)
    return max(math.ceil(float(measure(line, font, False)[0])) for line in text.split("\n"))


def ticks(low: float, high: float, count: int = 4) -> Array:
    """Return up to ``count + 1`` round numbers in ``[low, high]``."""
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high))
    inside: Array = values[(values >= low) & (values <= high)]
    return inside


def bars(values: Array, names: Sequence[str], active: Array, title: str, quantity: str) -> Figure:
    """Draw one bar for each value ``(N,)``, in colour where ``active``, with names below."""
    count = len(values)
    width = int(np.clip(BAR * count, 480, 1400)) + 4 * PAD
    with style():
        figure = new_figure((width, BARS_HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        for mask, colour, label in ((active, CYCLE[0], "active"), (~active, INACTIVE, "inactive")):
            if mask.any():
                axes.bar(np.flatnonzero(mask), values[mask], 0.8, color=colour, label=label)
        # With hundreds of dimensions only every n-th name has room.
        step = math.ceil(count * (text_width(names[-1], SMALL) + PAD) / width)
        axes.set_xticks(range(0, count, step), list(names[::step]))
        axes.set(title=title, xlabel="dimension", ylabel=quantity, xlim=(-0.6, count - 0.4))
        axes.grid(axis="y")
        axes.legend(loc="upper right")
    return figure


def table(values: Array, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Draw values in [0, 1], ``(rows, columns)``, as numbers in cells of matching colour."""
    left = max(map(text_width, rows)) + 3 * PAD
    cell = max(CELL[0], *(text_width(name) + 2 * PAD for name in columns))
    cell = max(cell, (text_width(title) - left) // len(columns))
    width = left + cell * len(columns) + 2 * PAD
    height = (len(rows) + 2) * CELL[1]
    with style():
        figure = new_figure((width, height))
        box = (left / width, PAD / height, cell * len(columns) / width, len(rows) / (len(rows) + 2))
        axes = figure.add_axes(box)
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(columns)), list(columns))
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        axes.spines[:].set_visible(False)
        for (i, k), value in np.ndenumerate(values):
            colour = "white" if value > 0.6 else INK
            axes.text(k, i, f"{value:.2f}", ha="center", va="center", color=colour)
        figure.text(PAD / width, 1 - CELL[1] / 2 / height, title, va="center")
    return figure
