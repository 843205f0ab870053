"""PSNR of inpainted frames, compared with OpenCV's methods."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from latentrl import FitConfig, fit, inpaint, inpainting_ae
from latentrl.data.frames import evenly_spaced
from latentrl.types import Array
from scripts.studies.autoencoders.data import car_racing, psnr, sheet
from scripts.studies.core import Row, Study

FRAMES = 200
COLUMNS = 8
SIDES = (0.2, 0.5)
"""Shortest and longest side of a hole, as a fraction of the frame's."""
RADIUS = 3
"""Neighbourhood of OpenCV's methods in pixels."""
METHODS = {"Telea": cv2.INPAINT_TELEA, "Navier-Stokes": cv2.INPAINT_NS}


def study() -> Study:
    """Inpainting of CarRacing frames, compared with the methods of OpenCV.

    Each frame is of a held-out episode and has one rectangular hole, whose sides are 20 to 50 % of
    the frame's.
    """
    training, held_out = car_racing()
    clean = held_out[evenly_spaced(len(held_out), FRAMES)]
    holes = random_holes(clean, np.random.default_rng(0))
    torch.manual_seed(0)
    model = inpainting_ae(clean.shape[1:], 64)
    fit(model, training, FitConfig(steps=1500, batch_size=64))
    filled = inpaint(model, clean, holes)
    others = {name: _opencv(clean, holes, method) for name, method in METHODS.items()}
    # Outside the holes every method returns the frame itself, which would dilute the PSNR.
    baselines = {name: psnr(images, clean, holes) for name, images in others.items()}
    value = psnr(filled, clean, holes)
    corrupted = clean * ~holes[..., None]
    reached = value > max(baselines.values())
    row = Row("PSNR inside the holes, dB", value, baselines, "above both", reached)
    caption = "Frame, hole, Telea, Navier-Stokes, latentrl"
    return Study(
        [row], images={caption: sheet([clean, corrupted, *others.values(), filled], COLUMNS)}
    )


def random_holes(images: Array, rng: np.random.Generator) -> Array:
    """Return one rectangular hole for each image, as a mask bool ``(N, H, W)``."""
    size = np.array(images.shape[1:3])
    sides = (rng.uniform(*SIDES, (len(images), 2)) * size).round()
    first = np.floor(rng.random((len(images), 2)) * (size - sides + 1))
    rows, columns = (_between(first[:, i], sides[:, i], size[i]) for i in (0, 1))
    holes: Array = rows[:, :, None] & columns[:, None]
    return holes


def _between(first: Array, length: Array, size: int) -> Array:
    positions = np.arange(size)
    inside: Array = (positions >= first[:, None]) & (positions < (first + length)[:, None])
    return inside


def _opencv(images: Array, holes: Array, method: int) -> Array:
    masks = holes.astype(np.uint8) * 255
    pairs = zip(images, masks, strict=True)
    return np.stack([cv2.inpaint(image, mask, RADIUS, method) for image, mask in pairs])
