"""Statistics of latents over frames: the sliders, and the map of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.latents.generate import decoded_changes
from latentrl.latents.known_factors import score_latents
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import batches
from latentrl.types import Array
from latentrl.viz.explorer.encoding import to_sheet
from latentrl.viz.images import network_images

LEVELS = (0.01, 0.99)
"""Quantiles of the data at the ends of a slider."""
THUMBNAIL = 48
"""Longer side of a thumbnail in pixels."""
THUMBNAIL_BYTES = 300_000


@dataclass(frozen=True)
class Sample:
    """Latents of some frames, and how much each dimension carries over them."""

    index: Array
    """Position of each frame, int ``(N,)``."""
    latents: Array
    """Posterior means, float32 ``(N, latent_dim)``."""
    information: Array
    """Mean KL divergence of each dimension in nats; of a model without one, the variance."""

    @classmethod
    def of(cls, model: Autoencoder, frames: Frames, count: int) -> Sample:
        """Encode up to ``count`` evenly spaced frames.

        Raises:
            ValueError: the frames do not belong to the model's observation space.
        """
        index = evenly_spaced(len(frames), count)
        latents, kl = posteriors(model, frames.subset(index))
        return cls(index, latents, latents.var(0) if kl is None else kl.mean(0))

    @property
    def typical(self) -> Array:
        """The latent of median Mahalanobis distance from the mean, ``(latent_dim,)``."""
        # The mean itself decodes to a blurred average, and an outlier decodes badly.
        scores = (self.latents - self.latents.mean(0)) / (self.latents.std(0) + 1e-6)
        latent: Array = self.latents[np.argsort(np.square(scores).sum(1))[len(scores) // 2]]
        return latent

    def __getitem__(self, rows: Any) -> Sample:
        """Return the sample of some frames, with the same information."""
        return Sample(self.index[rows], self.latents[rows], self.information)


@torch.inference_mode()
def posteriors(model: Autoencoder, frames: Frames | Array) -> tuple[Array, Array | None]:
    """Return posterior means and KL divergences, ``(N, latent_dim)`` each.

    The second is None where the posterior is not a distribution.
    """
    model.eval()
    found = [model.head(model.encoder(_scaled(model, x))) for x in batches(model, frames)]
    means = np.concatenate([posterior.mean.float().cpu().numpy() for posterior in found])
    if not model.variational:
        return means, None
    return means, np.concatenate([posterior.kl().cpu().numpy() for posterior in found])


def _scaled(model: Autoencoder, observations: Array) -> torch.Tensor:
    writable = np.require(observations, requirements=["C", "W"])
    scaled: torch.Tensor = model.preprocess(torch.from_numpy(writable).to(model.device))
    return scaled


def dimensions(model: Autoencoder, sample: Sample) -> list[dict[str, Any]]:
    """Describe the slider of each dimension, the one to draw first in front, with its amount.

    That is the information of a vector's dimension. Of a grid, where a cell may be informative
    about other frames alone, it is the change of the decoded typical frame over the slider's range,
    as in ``shown_dimensions``.
    """
    low, high = np.quantile(sample.latents, LEVELS, axis=0)
    mean = sample.latents.mean(0)
    layout = model.latent_layout
    amounts = sample.information
    if layout.grid is not None:
        amounts = decoded_changes(model, sample.typical, low, high)
    # Levels of a quantised latent are two widths apart.
    step = None if layout.level_width is None else 2 * layout.level_width
    return [
        {
            "index": int(i),
            "place": layout.place(int(i)),
            "amount": float(amounts[i]),
            "low": float(low[i]),
            # A dimension that is constant in the data still needs a range to move in.
            "high": float(high[i] if high[i] > low[i] else low[i] + (step or 1e-3)),
            "mean": float(mean[i]),
            "step": step,
        }
        for i in np.argsort(-amounts, kind="stable")
    ]


def data_map(
    model: Autoencoder, frames: Frames, sample: Sample, factors: Mapping[str, Array]
) -> dict[str, Any]:
    """Describe the points of the map: latents, PCA plane, thumbnails, episodes and factors."""
    chosen = frames.subset(sample.index)
    # Bare observations are episodes of their own, which have nothing to say.
    bare = len(np.unique(frames.episodes)) == len(frames)
    known = {name: values[sample.index] for name, values in factors.items()}
    scores = score_latents(sample.latents, known, chosen.episodes)
    return {
        "latents": sample.latents,
        "index": sample.index.tolist(),
        "episode": None if bare else chosen.episodes.tolist(),
        "axes": principal_axes(sample.latents),
        "thumbnails": to_sheet(thumbnails(rgb_frames(model, chosen[:])), THUMBNAIL_BYTES),
        "factors": {name: _numbers(values) for name, values in known.items()},
        "probe": {} if scores is None else scores.probe,
        "scores": {} if scores is None else scores.disentanglement,
    }


def _numbers(values: Array) -> list[float | None]:
    """Return values with six digits; JSON has no NaN, and null is unknown."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def principal_axes(latents: Array) -> Array:
    """Return the two axes of largest variance as unit rows, ``(2, latent_dim)``.

    The second is zero where the latent has one dimension.
    """
    centred = latents - latents.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    padded: Array = np.pad(axes, ((0, 2 - len(axes)), (0, 0)))
    return padded


def rgb_frames(model: Autoencoder, observations: Array) -> Array:
    """Return observations as the network takes them, uint8 RGB ``(B, h, w, 3)``."""
    return network_images(model, model.preprocessed(observations))


def thumbnails(images: Array, side: int = THUMBNAIL) -> Array:
    """Shrink RGB images ``(B, H, W, 3)`` to a longer side of at most ``side`` pixels."""
    height, width = images.shape[1:3]
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
