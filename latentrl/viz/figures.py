"""Figures with text: style, sheets of labelled tiles, bars and tables, drawn by matplotlib.

This is the one module that imports matplotlib (extra ``viz``), and only when a figure is drawn.
A figure is an object of its own: pyplot, which keeps figures in global state, is not used.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from latentrl.types import Array
from latentrl.viz.images import enlarge, png

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
CYCLE = ("#31688e", "#d6601e", "#2c8c46", "#be283c", "#825aaf", "#825546", "#cd5fa5", "#6e6e6e")
INACTIVE = "0.8"
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
}
PAD, ROW_GAP, BREAK, LINE = 8, 4, 12, 22
"""Pixels: around labels, between rows, at a break between columns, and of a line of text."""
REMEDY = "pip install 'latentrl[viz]'"
LINE_WIDTH = 1000
"""Pixels after which the tiles of a folded sheet continue below."""
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
    """Return the width in pixels of ``text`` in a font of ``size`` points."""
    require_matplotlib()
    from matplotlib.font_manager import FontProperties

    width, _, _ = _renderer().get_text_width_height_descent(text, FontProperties(size=size), False)
    return math.ceil(float(width))


def ticks(low: float, high: float, count: int = 4) -> Array:
    """Return up to ``count + 1`` round numbers in ``[low, high]``."""
    from matplotlib.ticker import MaxNLocator

    values = np.asarray(MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high))
    inside: Array = values[(values >= low) & (values <= high)]
    return inside


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
        self.tile, self.labels = tile, labels
        rows, columns = shape
        widest = max((text_width(name) + PAD for name in labels.columns), default=0)
        pitch = max(tile[0] + ROW_GAP, widest)
        names = max((text_width(name) + PAD for name in labels.rows), default=0)
        self.per_line = _per_line(shape, pitch) if labels.fold else columns
        block, column = np.divmod(np.arange(columns), self.per_line)
        shift = BREAK * np.searchsorted(np.sort(np.asarray(labels.breaks)), column, "right")
        lefts = PAD + names + margins.left + column * pitch + shift
        above = PAD // 2 + margins.top + (LINE if labels.title else 0)
        head = LINE if labels.columns else 0
        height = head + rows * (tile[1] + ROW_GAP) + margins.block
        tops = (
            above + head + block * (height + PAD) + np.arange(rows)[:, None] * (tile[1] + ROW_GAP)
        )
        lefts = np.broadcast_to(lefts + (pitch - tile[0]) // 2, tops.shape)
        self.corners = np.stack([lefts, tops], -1)
        width = int(lefts.max()) + tile[0] + (pitch - tile[0]) // 2 + PAD
        width = max(width, text_width(labels.title) + 2 * PAD, margins.width)
        bottom = int(tops.max()) + tile[1] + ROW_GAP + margins.block + margins.bottom + PAD // 2
        self.size: Size = (width, bottom)
        self.figure = new_figure(self.size)
        self.axes = pixel_axes(self.figure, self.size)
        self.first = self.corners[:, :: self.per_line]
        """Corners of the first tile of each line, ``(rows, blocks, 2)``."""
        self._write(margins)

    def _write(self, margins: Margins) -> None:
        width, height = self.tile
        if self.labels.title:
            self.text(PAD, PAD // 2 + margins.top + LINE / 2, self.labels.title, ha="left")
        for name, starts in zip(self.labels.rows, self.first, strict=bool(self.labels.rows)):
            for left, top in starts:
                self.text(left - margins.left - PAD, top + height / 2, name, ha="right")
        for name, (left, top) in zip(self.labels.columns, self.corners[0], strict=False):
            self.text(left + width / 2, top - LINE / 2, name, ha="center")

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        """Write ``text``, vertically centred at a point in pixels."""
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
