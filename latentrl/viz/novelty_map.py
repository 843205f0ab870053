"""Where a bonus was paid: visited states in the plane of their codes, and frames from its two ends
and its middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from latentrl.types import Array
from latentrl.viz.images import TILE, heat, to_rgb

PLANE, CELL = 384, 12
"""Sides in pixels of the plane, and of a square in it whose states are one disc."""
SMALLEST, GROWTH = 3.0, 1.3
"""Radius in pixels of a disc of one state, and what each doubling of its states adds."""
COLUMNS = 5
ROWS = ("highest bonus", "median of what is above the lowest", "lowest bonus")
PAD, LINE, FONT_SIZE, BAR = 12, 20, 13, 10
PAPER, PANEL, RIM, INK = 255, 240, (150, 150, 150), (60, 60, 60)
HOT = 0.99
"""Quantile of the bonuses that has the brightest colour, so that one outlier does not darken all
others."""
BITS = 4
"""Binary digits behind the point of a place in pixels."""


class RecentStates:
    """A ring of the newest states: their frames, codes and bonuses."""

    def __init__(self, size: int) -> None:
        """Hold ``size`` states.

        Raises:
            ValueError: the size is less than 1.
        """
        if size < 1:
            raise ValueError(f"a ring of visits holds at least 1 state, got {size}")
        self.size, self.seen = size, 0
        self._arrays = np.empty(0), np.empty(0), np.empty(0)

    def add(self, frames: Array, codes: Array, bonuses: Array) -> None:
        """Add a batch: ``(B, *frame_shape)``, ``(B, latent_dim)`` and ``(B,)``."""
        batch = frames[-self.size :], codes[-self.size :], bonuses[-self.size :]
        if not self.seen:
            self._arrays = self._room(frames), self._room(codes), self._room(bonuses)
        places = (self.seen + np.arange(len(batch[0]))) % self.size
        for array, part in zip(self._arrays, batch, strict=True):
            array[places] = part
        self.seen += len(places)

    def _room(self, batch: Array) -> Array:
        return np.empty((self.size, *batch.shape[1:]), batch.dtype)

    def newest(self) -> tuple[Array, Array, Array]:
        """Return frames, codes and bonuses, in no order; nothing before the first batch."""
        frames, codes, bonuses = self._arrays
        return frames[: self.seen], codes[: self.seen], bonuses[: self.seen]


def novelty_map(
    frames: Array, codes: Array, bonuses: Array, low: float = 0, high: float = 255
) -> Array:
    """Return a picture of where a bonus was paid, uint8 RGB.

    On the left is the plane of the first two principal components of the codes, each stretched to
    fill it. States that fall together are one disc: larger the more they are, in the colour of
    their mean bonus. On the right are the frames with the highest bonuses, those nearest the median
    of what is above the lowest (where most earn nothing, the median would be nothing), and those
    with the lowest. No two in a row are of one disc; of equal bonuses, those of the largest discs
    come first.

    Args:
        frames: of the states visited, ``(N, H, W, C)`` or ``(N, H, W)``.
        codes: theirs, ``(N, latent_dim)``.
        bonuses: what was paid for them, ``(N,)``.
        low: value of a frame that is black.
        high: value of a frame that is white.

    Raises:
        ValueError: there are no states, or not as many of each; or the frames are no images.
    """
    _check(frames, codes, bonuses)
    plane, shares = principal_plane(codes)
    places = _places(plane)
    discs = np.unique((places // CELL).astype(int) @ [PLANE, 1], return_inverse=True)[1]
    rows = _telling(bonuses, discs)
    tiles = [[_tile(to_rgb(frames[i], low, high), float(bonuses[i])) for i in row] for row in rows]
    return _beside(_scatter(places, discs, bonuses, shares), _sheet(tiles))


def _check(frames: Array, codes: Array, bonuses: Array) -> None:
    shapes = f"frames {frames.shape}, codes {codes.shape} and bonuses {bonuses.shape}"
    if frames.ndim not in (3, 4) or codes.ndim != 2 or bonuses.ndim != 1:
        raise ValueError(
            f"a heat map takes images (N, H, W, C), codes (N, latent_dim) and bonuses (N,), got {shapes}"
        )
    if not len(frames) == len(codes) == len(bonuses) > 0:
        raise ValueError(
            f"a heat map takes one frame, code and bonus for each of 1 or more states, got {shapes}"
        )


def principal_plane(codes: Array) -> tuple[Array, Array]:
    """Return the first two principal components of ``codes (N, latent_dim)``.

    Returns:
        Coordinates ``(N, 2)`` about the mean, and the share of the variance along each, ``(2,)``. A
        second component that there is not is zero.
    """
    centred = codes - codes.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(codes))
    variances, axes = variances[::-1].clip(min=0), axes[:, ::-1][:, :2]
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    missing = 2 - axes.shape[1]
    coordinates = np.pad(centred @ (axes * np.sign(largest)), ((0, 0), (0, missing)))
    shares = np.pad(variances[:2], (0, missing)) / max(
        float(variances.sum()), np.finfo(np.float64).tiny
    )
    return coordinates, shares


def _places(plane: Array) -> Array:
    """Return places in pixels, ``(N, 2)`` as x and y, so that the states fill the panel."""
    low, high = plane.min(0), plane.max(0)
    spread = high - low
    shares = np.where(spread > 1e-9, (plane - low) / np.maximum(spread, 1e-9), 0.5)
    shares[:, 1] = 1 - shares[:, 1]  # the second axis goes up
    places: Array = 2 * CELL + shares * (PLANE - 4 * CELL)
    return places


def _telling(bonuses: Array, discs: Array) -> list[Array]:
    """Return the numbers of the states to show in each row."""
    paid = bonuses[bonuses > bonuses.min()]
    middle = np.median(paid) if len(paid) else bonuses.min()
    crowds = np.bincount(discs)[discs]
    chosen = []
    for values in (-bonuses, np.abs(bonuses - middle), bonuses):
        order = np.lexsort((-crowds, values))
        firsts = np.sort(np.unique(discs[order], return_index=True)[1])
        chosen.append(order[firsts[:COLUMNS]])
    return chosen


def _scatter(places: Array, discs: Array, bonuses: Array, shares: Array) -> Array:
    """Draw the plane with its scale of colours."""
    counts = np.bincount(discs)
    centres = np.stack([np.bincount(discs, places[:, k]) for k in range(2)], 1) / counts[:, None]
    means = np.bincount(discs, bonuses) / counts
    low, high = _range(means)
    panel = np.full((PLANE, PLANE, 3), PANEL, np.uint8)
    colours = heat(means, low, high)
    for i in np.argsort(means, kind="stable"):  # the hottest on top
        _disc(panel, centres[i], SMALLEST + GROWTH * np.log2(counts[i]), colours[i])
    title = f"{len(bonuses):,} visited states; larger discs are more of them"
    axes = f"principal components: {shares[0]:.0%} of the variance across, {shares[1]:.0%} up"
    return _stack([_line(title), panel, _line(axes), _scale(low, high)])


def _range(means: Array) -> tuple[float, float]:
    low, high = float(means.min()), float(np.quantile(means, HOT))
    return low, high if high > low else float(means.max())


def _disc(panel: Array, centre: Array, radius: float, colour: Array) -> None:
    x, y = (int(value) for value in (centre * (1 << BITS)).round())
    size = round(radius * (1 << BITS))
    cv2.circle(panel, (x, y), size, colour.tolist(), cv2.FILLED, cv2.LINE_AA, BITS)
    cv2.circle(panel, (x, y), size, RIM, 1, cv2.LINE_AA, BITS)


def _scale(low: float, high: float) -> Array:
    bar = heat(np.linspace(0, 1, PLANE)[None].repeat(BAR, 0), 0, 1)
    image = Image.fromarray(_line(f"{low:.3g}"))
    draw = ImageDraw.Draw(image)
    _write(draw, PLANE / 2, "mean bonus", "mm")
    _write(draw, PLANE, f"{high:.3g}", "rm")
    return np.concatenate([bar, np.asarray(image)])


def _tile(image: Array, bonus: float) -> Array:
    """Return an RGB image at the size of a tile above its bonus."""
    scale = TILE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    resized = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    )
    padded = np.full((height, TILE, 3), PAPER, np.uint8)
    padded[:, (TILE - width) // 2 :][:, :width] = resized
    return np.concatenate([padded, _line(f"{bonus:.3g}", TILE, "mm")])


def _sheet(tiles: Sequence[Sequence[Array]]) -> Array:
    """Lay rows of tiles out below their names."""
    blocks = []
    for name, row in zip(ROWS, tiles, strict=True):
        spaced = [np.pad(tile, ((0, 0), (0, PAD), (0, 0)), constant_values=PAPER) for tile in row]
        blocks += [_line(name), np.concatenate(spaced, 1)]
    return _stack(blocks)


def _line(text: str, width: int = PLANE, anchor: str = "lm") -> Array:
    """Return a line of text on white, at the left or in the middle."""
    image = Image.new("RGB", (width, LINE), "white")
    _write(ImageDraw.Draw(image), 0 if anchor == "lm" else width / 2, text, anchor)
    return np.asarray(image)


def _write(draw: ImageDraw.ImageDraw, x: float, text: str, anchor: str) -> None:
    draw.text((x, LINE / 2), text, INK, ImageFont.load_default(FONT_SIZE), anchor=anchor)


def _stack(blocks: Sequence[Array]) -> Array:
    width = max(block.shape[1] for block in blocks)
    return np.concatenate([_padded(block, block.shape[0], width) for block in blocks])


def _beside(left: Array, right: Array) -> Array:
    height = max(len(left), len(right)) + PAD
    blocks = [_padded(block, height, block.shape[1] + PAD) for block in (left, right)]
    return np.pad(np.concatenate(blocks, 1), ((PAD, 0), (PAD, 0), (0, 0)), constant_values=PAPER)


def _padded(image: Array, height: int, width: int) -> Array:
    missing = (0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)
    return np.pad(image, missing, constant_values=PAPER)
