"""Images of what a model's latents keep and lose, of frames chosen for variety."""

from __future__ import annotations

import cv2
import numpy as np

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.details import LostDetails, window_side
from latentrl.training.details import lost_details as find_lost_details
from latentrl.training.quality import reconstruct_scaled
from latentrl.types import Array
from latentrl.viz.captions import titles
from latentrl.viz.images import GAP, grid, with_difference

SHOWN = 8
"""Frames in an image."""
CANDIDATES = 256
"""Evenly spaced frames that those of an image are chosen from."""
OUTLINE = (0, 220, 255)
MARGIN = 2
"""Pixels from a detail's window to its outline."""
TEXT = 13
"""Height in pixels of the letters above the frames."""
HEADING = "frame, reconstruction, difference; outlined: the detail that is lost most, and how much"


def varied_frames(model: Autoencoder, frames: Frames, count: int = SHOWN) -> Array:
    """Return observations of different latents and of high error, ``(count, *space.shape)``."""
    observations = _candidates(frames)
    latents, x, restored = reconstruct_scaled(model, observations)
    errors = (restored - x).square().flatten(1).mean(1)
    return observations[varied_index(latents.cpu().numpy(), errors.cpu().numpy(), count)]


def lost_details(model: Autoencoder, frames: Frames, count: int = SHOWN) -> Array:
    """Draw frames, reconstructions and differences, an outline around the detail that is lost most.

    Above each frame stands the lost fraction of this detail.

    Returns:
        RGB ``(H, W, 3)``; the frames are chosen as by ``varied_frames``, by the detail's error.
    """
    observations = _candidates(frames)
    latents, x, restored = reconstruct_scaled(model, observations)
    details = find_lost_details(x - x.mean(0), restored - restored.mean(0))
    chosen = varied_index(latents.cpu().numpy(), details.error.cpu().numpy(), count)
    return _outlined(model, observations[chosen], details, chosen)


def _outlined(
    model: Autoencoder, observations: Array, details: LostDetails, chosen: Array
) -> Array:
    rows = [np.ascontiguousarray(row) for row in with_difference(model, observations)]
    size = model.preprocess.shape[1:]
    # The network's pixels have other proportions than those of the frames, which are drawn.
    stretch = np.divide(rows[0].shape[1:3], size)
    first = details.corner[chosen].cpu().numpy()
    starts = (first * stretch).round().astype(int) - MARGIN
    ends = ((first + window_side(*size)) * stretch).round().astype(int) + MARGIN - 1
    for images in rows:
        for image, start, end in zip(images, starts, ends, strict=True):
            cv2.rectangle(image, start[::-1].tolist(), end[::-1].tolist(), OUTLINE)
    return _titled(grid(rows), details.fraction[chosen].tolist())


def _titled(image: Array, lost: list[float]) -> Array:
    """Add a heading, and above each column of images the fraction that is lost there."""
    width, column = image.shape[1], (image.shape[1] - GAP) // len(lost)
    percent = [(f"{100 * fraction:.0f} %", i * column) for i, fraction in enumerate(lost)]
    heading = titles([(HEADING, 0)], width, TEXT)
    return np.concatenate([heading, titles(percent, width, TEXT), image])


def varied_index(latents: Array, errors: Array, count: int) -> Array:
    """Return the indices of frames that differ in their latents, some of high error, ``(count,)``.

    The first has the highest error. Then, by turns, follow the frame farthest from those before
    (farthest-first traversal, Gonzalez 1985) and the one of the largest product of that distance
    and its error: the worst frames alone are often copies of each other.

    Args:
        latents: ``(N, latent_dim)``.
        errors: error of each reconstruction, ``(N,)``.
        count: number of frames; where there are fewer, all are returned.
    """
    chosen = [int(errors.argmax())]
    nearest = np.full(len(latents), np.inf)
    while len(chosen) < min(count, len(latents)):
        nearest = np.minimum(nearest, np.linalg.norm(latents - latents[chosen[-1]], axis=1))
        score = nearest * (errors if len(chosen) % 2 == 0 else 1)
        score[chosen] = -1
        chosen.append(int(score.argmax()))
    return np.array(chosen)


def _candidates(frames: Frames) -> Array:
    return frames[evenly_spaced(len(frames), CANDIDATES)]
