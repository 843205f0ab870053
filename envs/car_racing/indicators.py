"""The bar at the bottom of CarRacing's frames: the return, the speed, the wheels, the steering."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
import pygame
from gymnasium.envs.box2d import car_racing

from envs.car_racing.canvas import CANVAS, POLYGONS, WINDOW, fixed_point
from latentrl.types import Array

LEAST_INDICATED = 1e-4
"""Least absolute value that an indicator shows."""


def shown_return(game: Any) -> float:
    """Return what a frame shows: it is drawn before its 0.1 are taken from the return."""
    shown: float = game.reward + 0.1 * (game.t > 1.5 / car_racing.FPS)
    return shown


def draw_indicators(canvas: Array, game: Any) -> None:
    """Draw the bar at the bottom: the return, the speed, the wheels, the steering, the turn."""
    unit = CANVAS / 40  # a fortieth of the canvas, in both directions
    canvas[round(35 * unit) :] = 0
    _draw_return(canvas, shown_return(game))
    wheels, hull = game.car.wheels, game.car.hull
    upright = [(5, 0.02 * np.hypot(*hull.linearVelocity), (255, 255, 255))]
    for place, wheel, blue in zip((7, 8, 9, 10), wheels, (0, 0, 51, 51), strict=True):
        upright.append((place, 0.01 * wheel.omega, (blue, 0, 255)))
    for place, value, colour in upright:
        if abs(value) > LEAST_INDICATED:
            _fill_box(canvas, unit, (place, 39 - value), (place + 1, 39), colour)
    flat = [(20, -10.0 * wheels[0].joint.angle, (0, 255, 0))]
    flat.append((30, -0.8 * hull.angularVelocity, (255, 0, 0)))
    for place, value, colour in flat:
        if abs(value) > LEAST_INDICATED:
            _fill_box(canvas, unit, (place, 36), (place + value, 38), colour)


def _draw_return(canvas: Array, value: float) -> None:
    image = _text(f"{value:04.0f}")
    height, width = image.shape[:2]
    middle = np.array([60, WINDOW[1] * (1 - 2.5 / 40)]) * CANVAS / WINDOW
    left, top = (middle - (width / 2, height / 2)).round().astype(int)
    shown = image[: CANVAS - top, max(0, -left) :]
    left = max(0, left)
    canvas[top : top + len(shown), left : left + shown.shape[1]] = shown


@functools.lru_cache(maxsize=4_096)
def _text(text: str) -> Array:
    """Return ``text`` as the window shows it, at the scale of the canvas."""
    surface = _font().render(text, True, (255, 255, 255), (0, 0, 0))
    pixels = pygame.surfarray.array3d(surface).transpose(1, 0, 2)
    size = np.array(pixels.shape[1::-1]) * CANVAS / WINDOW
    scaled: Array = cv2.resize(pixels, size.round().astype(int), interpolation=cv2.INTER_AREA)
    return scaled


@functools.cache
def _font() -> pygame.font.Font:
    pygame.font.init()
    return pygame.font.Font(pygame.font.get_default_font(), 42)


def _fill_box(canvas: Array, unit: float, one: Any, other: Any, colour: Any) -> None:
    corners = np.array([one, (other[0], one[1]), other, (one[0], other[1])])
    cv2.fillConvexPoly(canvas, fixed_point(unit * corners), colour, *POLYGONS)
