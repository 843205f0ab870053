"""Pictures of what a model sees and knows, as uint8 RGB arrays ``(H, W, 3)`` and GIFs."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from latentrl.latents.anomaly import AnomalyDetector
from latentrl.latents.generate import manifold, traverse
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array

GAP = 2
BACKGROUND = 255
TILE = 96
"""Smaller tiles are enlarged to about this many pixels a side."""


def to_rgb(image: Array, low: float = 0, high: float = 255) -> Array:
    """Turn an image ``(H, W)`` or ``(H, W, C)`` with values from ``low`` to ``high`` into uint8
    RGB.

    Of four channels the first three are shown, of stacked images the last three, of two the first.
    """
    pixels = (
        np.clip((image.astype(np.float32) - low) / (high - low) * 255, 0, 255)
        .round()
        .astype(np.uint8)
    )
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = pixels.shape[-1]
    if channels < 3:
        return np.repeat(pixels[..., :1], 3, axis=-1)
    rgb: Array = pixels[..., :3] if channels == 4 else pixels[..., -3:]
    return rgb


def model_images(model: Autoencoder, images: Array) -> list[Array]:
    """Images in the units of the model's environment as uint8 RGB."""
    return shown(model, images)


def shown(model: Autoencoder, images: Array) -> list[Array]:
    """Turn images in the units of the model's environment into uint8 RGB."""
    space = model.preprocess.output_space
    low, high = float(space.low.min()), float(space.high.max())
    return [to_rgb(image, low, high) for image in images]


def grid(rows: Sequence[Sequence[Array]]) -> Array:
    """Lay RGB images out in rows on white, enlarged by a whole factor where they are small."""
    tiles = [[_enlarge(image) for image in row] for row in rows]
    height, width, _ = tiles[0][0].shape
    columns = max(len(row) for row in tiles)
    shape = (len(tiles) * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            top, left = GAP + i * (height + GAP), GAP + j * (width + GAP)
            canvas[top : top + height, left : left + width] = tile
    return canvas


def _enlarge(image: Array) -> Array:
    factor = max(1, round(TILE / image.shape[0]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def reconstructions(model: Autoencoder, observations: Array) -> Array:
    """Return a picture with the observations above, as the network sees them, and below their
    reconstructions.
    """
    return comparison(model, model.preprocessed(observations), model.reconstruct(observations))


def comparison(model: Autoencoder, *rows: Array) -> Array:
    """Return a picture with a row for each batch of images, such as clean, damaged and restored.

    Args:
        model: of whose environment the images are, cropped and resized or not.
        rows: images ``(B, H, W, C)`` or ``(B, H, W)``; all are shown at the size of the first.
    """
    height, width = rows[0].shape[1:3]
    return grid(
        [[_to_size(image, height, width) for image in shown(model, images)] for images in rows]
    )


def _to_size(image: Array, height: int, width: int) -> Array:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST))


def heat(values: Array, low: float | None = None, high: float | None = None) -> Array:
    """Turn a map ``(..., H, W)`` into uint8 RGB ``(..., H, W, 3)``, from black over red to yellow
    (inferno).

    Args:
        values: any numbers.
        low: what is shown as black; None takes the least of ``values``.
        high: what is shown as light yellow; None takes the greatest.
    """
    low, high = values.min() if low is None else low, values.max() if high is None else high
    levels = np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255).round().astype(np.uint8)
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO).reshape(
        256, 3
    )[:, ::-1]
    rgb: Array = colours[levels]
    return rgb


def anomalies(detector: AnomalyDetector, observations: Array) -> Array:
    """Return a picture with the observations above, as the network sees them, and below their maps
    on one scale.
    """
    seen = shown(detector.model, detector.model.preprocessed(observations))
    return grid([seen, list(heat(detector.map(observations)))])


def manifold_picture(
    model: Autoencoder, steps: int = 15, dimensions: tuple[int, int] | None = None
) -> Array:
    """Return the picture of ``manifold``: a row and a column for each quantile of two
    dimensions.
    """
    return grid([shown(model, row) for row in manifold(model, steps, dimensions)])


def representative_index(model: Autoencoder, observations: Array) -> int:
    """Index of the observation whose latent has the median distance from the mean latent."""
    mean, std = model.latent_mean.cpu().numpy(), model.latent_std.cpu().numpy()
    distances = np.square((model.encode(observations) - mean) / (std + 1e-6)).sum(1)
    return int(np.argsort(distances)[len(distances) // 2])


def telling(model: Autoencoder, observations: Array) -> Array:
    """Return the observation to traverse from: neither the most ordinary one nor an outlier.

    Its code is at the median of the standardised distances from the mean code.
    """
    mean, std = model.latent_mean.cpu().numpy(), model.latent_std.cpu().numpy()
    distances = np.square((model.encode(observations) - mean) / (std + 1e-6)).sum(1)
    chosen: Array = observations[np.argsort(distances)[len(distances) // 2]]
    return chosen


def traversal(model: Autoencoder, observation: Array, dimensions: int = 8, steps: int = 9) -> Array:
    """Return a picture with a row for each of the most informative dimensions, moved over its range
    in the data.
    """
    return grid([shown(model, row) for row in traverse(model, observation, dimensions, steps)])


def traversal_gif(
    model: Autoencoder, observation: Array, dimensions: int = 8, steps: int = 15
) -> bytes:
    """Return a looping GIF in which the same dimensions sway to and fro, side by side."""
    moved = [shown(model, row) for row in traverse(model, observation, dimensions, steps)]
    half = (len(moved) + 1) // 2
    halves = [rows for rows in (moved[:half], moved[half:]) if rows]
    frames = [grid([[row[t] for row in rows] for rows in halves]) for t in range(steps)]
    return gif([*frames, *frames[-2:0:-1]], fps=10)


def gif(frames: Sequence[Array], fps: int) -> bytes:
    """Encode RGB frames as a looping GIF of 64 colours, without dithering, which does not
    compress.
    """
    images = [Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0
    )
    return buffer.getvalue()


def png(image: Array) -> bytes:
    """Encode an RGB picture as PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])
