"""The image on which CarRacing is drawn, before it is scaled down to a frame."""

from __future__ import annotations

import cv2
import numpy as np
from gymnasium.envs.box2d import car_racing

from latentrl.types import Array

SIDE, HALVINGS = 96, 2
"""Side of a frame, and how often the canvas is scaled down by 2 to be one."""
CANVAS = SIDE * 2**HALVINGS
WINDOW = np.array([car_racing.WINDOW_W, car_racing.WINDOW_H])
"""Width and height of the window that the environment draws and scales down."""
FRACTION_BITS = 4
"""OpenCV takes fractions of pixels as integers with this shift."""
POLYGONS = cv2.LINE_8, FRACTION_BITS
"""Last arguments of OpenCV's functions that fill polygons."""


def fixed_point(places: Array) -> Array:
    """Return places as OpenCV takes them: 0 is the edge of the canvas, 0.5 a pixel's middle."""
    numbers: Array = ((places - 0.5) * 2**FRACTION_BITS).round().astype(np.int32)
    return numbers
