"""Images without text, as uint8 RGB arrays, PNGs and GIFs; they do not need matplotlib."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image

from latentrl.latents.anomaly import AnomalyDetector
from latentrl.latents.generate import traverse
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import ImagePreprocessor
from latentrl.types import Array

GAP = 2
"""Pixels between two tiles."""
BACKGROUND = 255
TILE = 96
"""Smaller tiles are enlarged to about this many pixels on their longer side."""
COLOURS = 256
GREATEST_DIFFERENCE = 128
"""Difference of uint8 images that is drawn as light yellow."""


def to_rgb(images: Array, low: float | Array = 0, high: float | Array = 255) -> Array:
    """Convert a batch of images to uint8 RGB, ``(B, H, W, 3)``.

    Of more or fewer than three channels, those of ``shown_channels`` are taken.

    Args:
        images: ``(B, H, W)`` or ``(B, H, W, C)``.
        low: value of black, of all channels or ``(C,)``.
        high: value of white, likewise.

    Raises:
        ValueError: ``images`` is not a batch of images.
    """
    return _shown(_levels(images, low, high))


def shown_channels(channels: int) -> range:
    """Return which of so many channels a plot shows.

    They are the first one of two, the first three of four, as of RGBA, and the last three of more,
    as of stacked frames.
    """
    if channels < 3:
        return range(1)
    return range(3) if channels == 4 else range(channels - 3, channels)


def _levels(images: Array, low: float | Array, high: float | Array) -> Array:
    if images.ndim not in (3, 4):
        raise ValueError(f"expected images (B, H, W) or (B, H, W, C), got shape {images.shape}")
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    levels = (images.astype(np.float32) - low) / (high - low) * 255
    pixels = np.clip(levels, 0, 255).round().astype(np.uint8)
    batch: Array = pixels[..., None] if pixels.ndim == 3 else pixels
    return batch


def _shown(levels: Array) -> Array:
    shown: Array = levels[..., shown_channels(levels.shape[-1])]
    return shown if shown.shape[-1] == 3 else np.repeat(shown, 3, axis=-1)


def model_images(model: Autoencoder, images: Array) -> Array:
    """Convert images to uint8 RGB ``(B, H, W, 3)``, in the proportions of the frames.

    Args:
        model: the model whose environment they come from.
        images: images in the units of this environment, ``(B, H, W[, C])``.
    """
    return in_proportion(model, network_images(model, images))


def network_images(model: Autoencoder, images: Array) -> Array:
    """Convert images as ``model_images`` does, in the size that they have."""
    return _shown(_network_levels(model, images))


def _network_levels(model: Autoencoder, images: Array) -> Array:
    space = model.preprocess.output_space
    return _levels(images, space.low.min((0, 1)), space.high.max((0, 1)))


def in_proportion(model: Autoencoder, images: Array) -> Array:
    """Stretch RGB images of the network's size to the aspect ratio of the cropped frames.

    One side grows and none shrinks, so that no pixel is lost; images of other sizes stay.

    Args:
        model: a model of images.
        images: ``(B, H, W, 3)``.
    """
    pre = model.preprocess
    assert isinstance(pre, ImagePreprocessor)
    if images.shape[1:3] != pre.size:
        return images
    (height, width), (tall, wide) = pre.size, pre.cropped
    shown = max(height, round(width * tall / wide)), max(width, round(height * wide / tall))
    if shown == pre.size:
        return images
    return np.stack([cv2.resize(image, shown[::-1]) for image in images])


def grid(rows: Sequence[Sequence[Array] | Array]) -> Array:
    """Lay RGB images of one size out in rows on white; small ones are enlarged.

    Args:
        rows: batches ``(B, H, W, 3)`` or lists of images, not necessarily of equal length.
    """
    tiles = [[enlarge(image) for image in row] for row in rows]
    height, width, _ = tiles[0][0].shape
    columns = max(len(row) for row in tiles)
    shape = (len(tiles) * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            top = GAP + i * (height + GAP)
            left = GAP + j * (width + GAP)
            canvas[top : top + height, left : left + width] = tile
    return canvas


def enlarge(image: Array) -> Array:
    """Repeat the pixels of a small image ``(H, W, 3)`` a whole number of times."""
    # A whole factor keeps every pixel a sharp square; interpolation would invent colours.
    factor = max(1, round(TILE / max(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def with_difference(model: Autoencoder, observations: Array) -> list[Array]:
    """Return preprocessed observations, reconstructions and differences, RGB ``(B, H, W, 3)``.

    A difference is the largest one of all channels, those that are not shown included, from black
    to light yellow, half of the range.
    """
    drawn = _network_levels(model, model.preprocessed(observations))
    restored = _network_levels(model, model.reconstruct(observations))
    difference = colormap(np.abs(drawn.astype(int) - restored).max(-1), 0, GREATEST_DIFFERENCE)
    images = _shown(drawn), _shown(restored), difference
    return [in_proportion(model, batch) for batch in images]


def comparison(model: Autoencoder, *rows: Array) -> Array:
    """Draw one row for each batch of images, such as clean, corrupted and restored ones.

    Args:
        model: the model whose environment the images come from.
        rows: images ``(B, H, W, C)`` or ``(B, H, W)``; all are resized to the size of the first.
    """
    height, width = rows[0].shape[1:3]
    resize = functools.partial(cv2.resize, dsize=(width, height), interpolation=cv2.INTER_NEAREST)
    return grid([[resize(image) for image in model_images(model, images)] for images in rows])


@functools.cache
def _inferno() -> Array:
    levels = np.arange(COLOURS, dtype=np.uint8)
    bgr = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO).reshape(COLOURS, 3)
    return bgr[:, ::-1]  # OpenCV orders channels blue, green, red


def colormap(values: Array, low: float | None = None, high: float | None = None) -> Array:
    """Map values ``(...)`` to uint8 RGB ``(..., 3)``, from black through red to yellow (inferno).

    Args:
        values: any numbers.
        low: value of black; None means the minimum.
        high: value of light yellow; None means the maximum.
    """
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    levels = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * (COLOURS - 1)
    rgb: Array = _inferno()[levels.round().astype(np.uint8)]
    return rgb


def anomalies(detector: AnomalyDetector, observations: Array) -> Array:
    """Draw preprocessed observations in one row and their anomaly maps, on one scale, below."""
    model = detector.require_model()
    images = model_images(model, model.preprocessed(observations))
    return grid([images, in_proportion(model, colormap(detector.map(observations)))])


def representative_index(model: Autoencoder, observations: Array) -> int:
    """Return the index of a typical observation, a good start of a traversal.

    The Mahalanobis distance of its latent from the mean is the median of the batch: the latent at
    the mean itself decodes to a blurred average, and an outlier decodes badly.
    """
    mean = model.latent_mean.cpu().numpy()
    std = model.latent_std.cpu().numpy()
    scores = (model.encode(observations) - mean) / (std + 1e-6)
    distances = np.square(scores).sum(1)
    return int(np.argsort(distances)[len(distances) // 2])


def traversal_gif(
    model: Autoencoder, observation: Array, dimensions: int | Sequence[int] = 8, steps: int = 15
) -> bytes:
    """Return a looping GIF of dimensions, as ``traverse`` takes them, moved forth and back."""
    moved = [model_images(model, row) for row in traverse(model, observation, dimensions, steps)]
    half = (len(moved) + 1) // 2
    halves = [rows for rows in (moved[:half], moved[half:]) if rows]
    frames = [grid([[row[t] for row in rows] for rows in halves]) for t in range(steps)]
    return gif([*frames, *frames[-2:0:-1]], fps=10)


def gif(frames: Iterable[Array], fps: int) -> bytes:
    """Encode RGB frames ``(H, W, 3)``, at least one, as a looping GIF of 64 colours."""
    # Dithering is noise, which the compression of GIF cannot shorten.
    images = (Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames)
    buffer = io.BytesIO()
    next(images).save(
        buffer, "GIF", save_all=True, append_images=images, duration=round(1000 / fps), loop=0
    )
    return buffer.getvalue()


def png(image: Array) -> bytes:
    """Encode an RGB image ``(H, W, 3)`` as PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])
