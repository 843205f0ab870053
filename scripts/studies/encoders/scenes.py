"""Random scenes: sprites that move over a random background, before a camera that may move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from latentrl.types import Array

SIDE = 64
"""Side of an image in pixels."""
MARGINS = (0, 24, 156)
"""Pixels by which a background exceeds an image, so that the camera stands, shakes or travels."""
GREY = 8
"""One of this many scenes is grey."""
Rng = np.random.Generator


def scene(rng: Rng, count: int) -> tuple[Array, Array]:
    """Draw one scene: a background, a camera and sprites.

    Args:
        rng: source of all choices.
        count: number of frames, each of another moment.

    Returns:
        The frames and those one step before them, uint8 ``(count, SIDE, SIDE, 3)`` each.
    """
    margin = int(rng.choice(MARGINS))
    background = draw_background(rng, SIDE + margin)
    sprites = [Sprite.drawn(rng) for _ in range(rng.integers(1, 9))]
    zooms = margin == MARGINS[-1] and rng.random() < 0.3
    deviation, homes = rng.uniform(0.1, 0.6) * SIDE, rng.uniform(0, SIDE, (len(sprites), 2))
    frames, before = [], []
    for _ in range(count):
        corner = rng.integers(0, margin + 1, 2)
        places = (homes + rng.normal(0, deviation, homes.shape)) % SIDE
        zoom = rng.uniform(0.5, 2) if zooms else 1.0
        frames.append(_frame(background, corner, zoom, sprites, places))
        shift = rng.integers(-4, 5, 2) if margin else 0
        corner = np.clip(corner + shift, 0, margin)
        places = places + rng.normal(0, 3, homes.shape)
        before.append(_frame(background, corner, zoom, sprites, places))
    images = np.stack(before), np.stack(frames)
    if rng.integers(GREY) == 0:
        images = tuple(np.repeat(x.mean(-1, keepdims=True), 3, -1).astype(np.uint8) for x in images)
    return images[1], images[0]


@dataclass(frozen=True)
class Sprite:
    """A small shape, which looks the same wherever it is."""

    seed: int
    """Seed of its form."""
    radius: float
    """Half of its size in pixels."""
    colour: tuple[int, int, int]
    """Its colour."""

    @classmethod
    def drawn(cls, rng: Rng) -> Sprite:
        """Choose a sprite, of one to 18 pixels."""
        return cls(int(rng.integers(2**30)), _logarithmic(rng, 0.6, 9), _colour(rng))

    def draw(self, image: Array, centre: Array, zoom: float) -> None:
        """Draw it into ``image`` at ``centre`` in pixels."""
        x, y = (int(value) for value in centre)
        draw_shape(image, np.random.default_rng(self.seed), (x, y), self.radius / zoom, self.colour)


def _frame(
    background: Array, corner: Array, zoom: float, sprites: list[Sprite], places: Array
) -> Array:
    side = int(SIDE * zoom)
    y, x = np.minimum(corner, len(background) - side)
    image = background[y : y + side, x : x + side].copy()
    if side != SIDE:
        way = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
        image = cv2.resize(image, (SIDE, SIDE), interpolation=way)
    for sprite, place in zip(sprites, places, strict=True):
        sprite.draw(image, place, zoom)
    return image


def draw_background(rng: Rng, side: int) -> Array:
    """Draw a background, uint8 ``(side, side, 3)``: plain, of shapes, tiles or smooth, or rough."""
    background = BACKGROUNDS[rng.integers(len(BACKGROUNDS))](rng, side)
    return _roughened(rng, background) if rng.random() < 0.4 else background


def _plain(rng: Rng, side: int) -> Array:
    background = np.zeros((side, side, 3), np.uint8)
    if rng.random() < 0.5:
        background[:] = _colour(rng)
    return background


def _shapes(rng: Rng, side: int) -> Array:
    background = np.full((side, side, 3), _colour(rng), np.uint8)
    _scatter(rng, background, rng.integers(3, 120), 1.5, side / 3)
    return background


def _tiles(rng: Rng, side: int) -> Array:
    size = int(rng.integers(4, 13))
    colours = rng.integers(0, 256, (rng.integers(2, 6), 3)).astype(np.uint8)
    tiles = colours[rng.integers(0, len(colours), (side // size + 1,) * 2)]
    return np.ascontiguousarray(tiles.repeat(size, 0).repeat(size, 1)[:side, :side])


def _smooth(rng: Rng, side: int) -> Array:
    few = rng.integers(0, 256, (*(int(rng.integers(2, 9)),) * 2, 3)).astype(np.uint8)
    background: Array = cv2.resize(few, (side, side), interpolation=cv2.INTER_CUBIC)
    _scatter(rng, background, rng.integers(0, 40), 1, side / 6)
    return background


BACKGROUNDS: tuple[Callable[[Rng, int], Array], ...] = (_plain, _shapes, _shapes, _tiles, _smooth)


def _roughened(rng: Rng, background: Array) -> Array:
    side = len(background)
    grain, channels = int(rng.integers(1, 4)), 1 if rng.random() < 0.6 else 3
    shape = (side // grain + 1, side // grain + 1, channels)
    noise = rng.normal(0, rng.uniform(3, 40), shape).astype(np.float32)
    fine = cv2.resize(noise, (side, side), interpolation=cv2.INTER_LINEAR)
    rough: Array = np.clip(background + fine.reshape(side, side, channels), 0, 255).astype(np.uint8)
    return rough


def _scatter(rng: Rng, background: Array, count: int, smallest: float, largest: float) -> None:
    for _ in range(count):
        x, y = (int(value) for value in rng.integers(-4, len(background) + 4, 2))
        draw_shape(background, rng, (x, y), _logarithmic(rng, smallest, largest), _colour(rng))


def draw_shape(
    image: Array, rng: Rng, centre: tuple[int, int], radius: float, colour: tuple[int, int, int]
) -> None:
    """Draw a rectangle, an ellipse, a polygon, a line or a character into ``image``."""
    x, y = centre
    a, b = (max(1, round(length)) for length in (radius, radius * rng.uniform(0.3, 1)))
    match int(rng.integers(5)):
        case 0:
            cv2.rectangle(image, (x - a, y - b), (x + a - 1, y + b - 1), colour, -1)
        case 1:
            cv2.ellipse(image, (x, y), (a, b), rng.uniform(0, 180), 0, 360, colour, -1)
        case 2:
            corners = np.array(centre) + rng.normal(0, max(1, radius), (rng.integers(3, 6), 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], colour)
        case 3:
            dx, dy = (int(value) for value in rng.normal(0, 2 * radius + 1, 2))
            cv2.line(image, (x, y), (x + dx, y + dy), colour, int(rng.integers(1, 3)))
        case _:
            font, size = int(rng.integers(4)), rng.uniform(0.2, 0.8)
            cv2.putText(image, chr(rng.integers(33, 123)), (x, y), font, size, colour)


def _colour(rng: Rng) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _logarithmic(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
