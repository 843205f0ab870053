"""CarRacing's frames, drawn once per timestep: by the environment, or here and much faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d import car_dynamics, car_racing

from envs.car_racing.canvas import CANVAS, HALVINGS, POLYGONS, SIDE, WINDOW, fixed_point
from envs.car_racing.indicators import draw_indicators, shown_return
from latentrl.types import Array

DRAWING = (
    *("_init_colors", "_reinit_colors", "_create_track", "_render", "_render_road"),
    *("_render_indicators", "_draw_colored_polygon", "_create_image_array"),
)
"""Methods of the environment on which its frames depend."""
ROUNDING = 2
"""Grey levels that the environment's own scaling takes from all pixels."""
FARTHEST = np.hypot(WINDOW[0] / 2, 0.75 * WINDOW[1])
"""Distance from the car to the farthest corner of the window, in pixels of the window."""
LARGEST = car_racing.GRASS_DIM * np.sqrt(2)
"""Largest distance from the middle of a polygon to its corners, of all but the field."""


def is_original(env: gym.Env[Any, Any]) -> bool:
    """Return whether an environment draws as Gymnasium's CarRacing, for observations alone."""
    kind, original = type(env.unwrapped), car_racing.CarRacing
    if not issubclass(kind, original) or env.render_mode == "state_pixels":
        return False
    return all(getattr(kind, name) is getattr(original, name) for name in DRAWING)


class FramesOnce(gym.ObservationWrapper[Array, Any, Array]):
    """CarRacing that draws one frame per timestep, and none that a frame skip drops.

    Most of the time of a step is the drawing. The frames are those of the environment.
    """

    def __init__(self, env: gym.Env[Array, Any]) -> None:
        """Wrap ``env``, a CarRacing and its frame skip."""
        super().__init__(env)
        game: Any = env.unwrapped
        self._original = game._render
        game._render = self._render

    def _render(self, mode: str) -> Any:
        if mode == "state_pixels":
            return np.zeros((SIDE, SIDE, 3), np.uint8)  # ``observation`` replaces it
        return self._original(mode)

    def observation(self, observation: Array) -> Array:
        """Return the frame of the present state, ``(96, 96, 3)`` uint8."""
        game: Any = self.unwrapped
        present = game.reward
        game.reward = shown_return(game)
        frame: Array = self._original("state_pixels")
        game.reward = present
        return frame


class DrawnFrames(FramesOnce):
    """CarRacing whose frames are drawn here, once per timestep, and not by the environment.

    They differ from those of the environment at edges; ``render`` is unchanged.
    """

    def __init__(self, env: gym.Env[Array, Any]) -> None:
        """Wrap ``env``, a CarRacing and its frame skip."""
        super().__init__(env)
        self._canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
        self._fields = _fields()

    def reset(self, **kwargs: Any) -> tuple[Array, dict[str, Any]]:
        """Reset, and read the new track."""
        empty, info = self.env.reset(**kwargs)
        game: Any = self.unwrapped
        self._polygons = np.concatenate([self._fields, [road for road, _ in game.road_poly]])
        self._middles = self._polygons.mean(1)
        self._car = CarPolygons(game.car)
        # The environment changes the colours of tiles in place once the car has been there.
        grass = [game.bg_color, *[game.grass_color] * (len(self._fields) - 1)]
        self._colours = [*grass, *(colour for _, colour in game.road_poly)]
        return self.observation(empty), info

    def observation(self, observation: Array) -> Array:
        """Draw the frame of the present state, ``(96, 96, 3)`` uint8."""
        game: Any = self.unwrapped
        image, camera = self._canvas, Camera(game)
        image[:] = 0
        near = np.square(self._middles - np.array(game.car.hull.position)).sum(1)
        near[0] = 0  # the field
        seen = np.flatnonzero(near <= (FARTHEST / camera.zoom + LARGEST) ** 2)
        for corners, i in zip(camera(self._polygons[seen]), seen, strict=True):
            colour = tuple(map(int, self._colours[i]))
            cv2.fillConvexPoly(image, corners, colour, *POLYGONS)
        for polygon, colour in self._car(camera):
            cv2.fillConvexPoly(image, polygon, colour, *POLYGONS)
        draw_indicators(image, game)
        for _ in range(HALVINGS):
            image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        frame: Array = np.maximum(image, ROUNDING) - np.uint8(ROUNDING)
        return frame


class Camera:
    """Map from the world to the canvas: the car is below the middle and drives upwards."""

    def __init__(self, game: Any) -> None:
        """Take the place from the car; in the first second of an episode the camera comes down."""
        hull, now = game.car.hull, min(game.t, 1.0)
        self.zoom = car_racing.SCALE * (0.1 * (1 - now) + car_racing.ZOOM * now)
        cos, sin = np.cos(hull.angle), np.sin(hull.angle)
        # The window's second axis points upwards, that of the canvas downwards.
        scale = np.array([1, -1]) * CANVAS / WINDOW
        self._turn = self.zoom * np.array([[cos, -sin], [sin, cos]]) * scale
        middle = np.array([WINDOW[0] / 2, WINDOW[1] / 4])
        self._offset = scale * middle + (0, CANVAS) - np.array(hull.position) @ self._turn

    def __call__(self, points: Array) -> Array:
        """Return where ``points``, ``(..., 2)`` in the world, are on the canvas, for OpenCV."""
        return fixed_point(points @ self._turn + self._offset)


def _fields() -> Array:
    """Return the field and its patches of grass, ``(n, 4, 2)``."""
    corners = np.array([(1, 0), (0, 0), (0, 1), (1, 1)])
    places = np.array([(x, y) for x in range(-20, 20, 2) for y in range(-20, 20, 2)])
    patches = car_racing.GRASS_DIM * (places[:, None] + corners)
    return np.concatenate([[car_racing.PLAYFIELD * (2 * corners - 1)], patches])


class CarPolygons:
    """The polygons of a car: of its wheels, of the stripes that show how they turn, of its hull."""

    def __init__(self, car: Any) -> None:
        """Read the bodies of ``car``, whose shapes do not change."""
        self._bodies = car.drawlist
        self._wheels = np.flatnonzero([hasattr(body, "phase") for body in self._bodies])
        shapes = [
            (number, np.array(fixture.shape.vertices), [int(255 * part) for part in body.color])
            for number, body in enumerate(self._bodies)
            for fixture in body.fixtures
        ]
        stripes = [(wheel, np.zeros((4, 2)), car_dynamics.WHEEL_WHITE) for wheel in self._wheels]
        # Wheels are below their stripes, and both below the hull.
        parts = [*shapes[: len(self._wheels)], *stripes, *shapes[len(self._wheels) :]]
        owners, polygons, self._colours = zip(*parts, strict=True)
        self._ends = np.cumsum([len(polygon) for polygon in polygons])
        self._owner = np.repeat(owners, [len(polygon) for polygon in polygons])
        self._points = np.concatenate(polygons)
        first = self._ends[len(self._wheels) - 1]
        self._stripes = slice(first, first + 4 * len(self._wheels))

    def __call__(self, camera: Camera) -> Iterator[tuple[Array, Any]]:
        """Yield each visible polygon on the canvas, and its colour."""
        stripes, visible = _stripes(np.array([self._bodies[i].phase for i in self._wheels]))
        self._points[self._stripes] = stripes.reshape(-1, 2)
        places = np.array([(*body.position, body.angle) for body in self._bodies])[self._owner]
        cos, sin = np.cos(places[:, 2]), np.sin(places[:, 2])
        x, y = self._points.T
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], 1)
        polygons = np.split(camera(turned + places[:, :2]), self._ends[:-1])
        shown = np.ones(len(polygons), bool)
        shown[len(visible) : 2 * len(visible)] = visible
        return ((polygons[i], self._colours[i]) for i in np.flatnonzero(shown))


def _stripes(phases: Array) -> tuple[Array, Array]:
    """Return the corners of the stripes of wheels, ``(n, 4, 2)``, and which ones are visible."""
    angles = phases[:, None] + (0, 1.2)
    hidden, ends = np.sin(angles) > 0, np.cos(angles)
    y = car_dynamics.WHEEL_R * np.where(hidden, np.sign(ends), ends)[:, [0, 0, 1, 1]]
    x = np.broadcast_to(car_dynamics.WHEEL_W * np.array([-1, 1, 1, -1]), y.shape)
    return car_dynamics.SIZE * np.stack([x, y], 2), np.logical_not(hidden.all(1))
