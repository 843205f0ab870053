"""What the latents of a model keep of held-out frames, and what they lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from latentrl.data.frames import Frames, evenly_spaced
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.losses.change import changed_values
from latentrl.models.preprocessing import is_image
from latentrl.models.stored import frames_of
from latentrl.training.details import lost_details
from latentrl.training.health import psnr
from latentrl.training.probe import linear_probe
from latentrl.types import Array, describe_space

SAMPLE = 1_000
"""Most frames that the metrics are computed from, evenly spaced."""
BATCH = 64
DETAIL_QUANTILE = 0.9
"""Quantile over the frames of the lost fraction: an object may be in a tenth of them."""
USED_CHANGE = 0.05
"""Change of the most changed value, in scaled units, that makes a dimension one in use."""
TRAVERSED = 4
"""Frames whose latents are moved to count the dimensions in use."""

LEAST_EXPLAINED = 0.5
"""Least explained variance of all pixels of a good encoder."""
LEAST_CHANGING = 0.6
"""Least explained variance of changing pixels of a good encoder."""
MOST_LOST = 0.6
"""Largest lost detail of a good encoder."""


@dataclass(frozen=True)
class Quality:
    """Metrics of the reconstructions of held-out frames."""

    explained: float
    """Explained variance of all pixels: R2 about the mean image of these frames, at most 1; 0 where
    all frames are equal."""
    changing: float | None
    """The same over pixels that differ from the previous frame; None where none is known to."""
    psnr: float
    """Peak signal-to-noise ratio of the reconstructions in dB, for a peak of 1."""
    mean_psnr: float
    """The same of the mean image: what a model without latents reaches."""
    used_dimensions: int
    """Dimensions that change the decoded image when they move over their range in the data."""
    latent_dim: int
    """Size of the latent."""
    lost_detail: float
    """Lost fraction of the worst detail of a frame, 0.9 quantile over the frames, 0 to 1."""
    probe: Sequence[float] = ()
    """R2 of a linear probe of each known factor."""

    def summary(self) -> list[str]:
        """Return the metrics in a few lines of text; the first one has the explained variance."""
        parts = [f"{_explained_percent(self.explained)} of all pixels"]
        if self.changing is not None:
            parts.append(f"{_explained_percent(self.changing)} of changing pixels")
        return [
            f"explained variance: {', '.join(parts)}",
            f"PSNR {self.psnr:.1f} dB; the mean image has {self.mean_psnr:.1f} dB",
            f"the decoder uses {self.used_dimensions} of {self.latent_dim} dimensions; "
            f"lost detail {self.lost_detail:.0%}",
        ]

    def problems(self) -> list[str]:
        """Return what is lost, one clause each; empty for a good encoder."""
        if self.used_dimensions == 0:
            return ["the latents have collapsed: the decoder uses no dimension"]
        found = []
        if self.explained < LEAST_EXPLAINED:
            found.append(_too_little(self.explained, "all pixels", LEAST_EXPLAINED))
        if self.changing is not None and self.changing < LEAST_CHANGING:
            found.append(_too_little(self.changing, "changing pixels", LEAST_CHANGING))
        if self.lost_detail > MOST_LOST:
            found.append(
                f"in a tenth of the frames {_percent(self.lost_detail)} of a detail, such as a "
                f"small object, is lost (at most {_percent(MOST_LOST)})"
            )
        return found


def quality(
    model: Autoencoder,
    frames: Frames | Array,
    factors: Array | None = None,
    used: int | None = None,
) -> Quality:
    """Return how much of ``frames`` a model's latents keep.

    Args:
        model: a fitted model of images with a decoder.
        frames: held-out frames; at most 1,000 evenly spaced ones are used. Changing pixels are
            those of ``Frames.previous``, which an array has none of.
        factors: known factors of variation of ``frames``, ``(N, F)``, for the linear probe.
        used: ``used_dimensions`` where they are known; counting them takes most of the time.

    Raises:
        TypeError: the model has no decoder.
        ValueError: the observations are not images, the frames are of another space than the
            model's, or ``factors`` does not fit ``frames``.
    """
    model.require_decoder()
    if not is_image(model.observation_space):
        raise ValueError(
            "quality compares pixels of images; these observations are "
            f"{describe_space(model.observation_space)}: use latentrl.health"
        )
    frames = frames_of(model, frames)
    index = evenly_spaced(len(frames), SAMPLE)
    sample = frames.subset(index)
    measured = _measure(model, sample)
    latents = torch.cat(measured.latents)
    error, deviation, changing_error, changing_deviation = measured.sums.tolist()
    values = len(sample) * np.prod(model.preprocess.shape)
    return Quality(
        explained=_explained(error, deviation) or 0.0,
        changing=_explained(changing_error, changing_deviation),
        psnr=psnr(error / values),
        mean_psnr=psnr(deviation / values),
        used_dimensions=used_dimensions(model, latents) if used is None else used,
        latent_dim=model.latent_dim,
        lost_detail=float(torch.cat(measured.lost).quantile(DETAIL_QUANTILE)),
        probe=() if factors is None else _probe(latents, factors, index, frames),
    )


@dataclass
class _Measured:
    """Sums over batches, and what is kept of each frame."""

    sums: Tensor = field(default_factory=lambda: torch.zeros(4, dtype=torch.float64))
    """Squared error and squared deviation, of all pixels and of changing ones."""
    latents: list[Tensor] = field(default_factory=list)
    lost: list[Tensor] = field(default_factory=list)

    def add(self, x: Tensor, restored: Tensor, mean: Tensor, changes: Tensor) -> None:
        """Add a batch, of which ``mean`` is the mean image of all."""
        error = (restored - x).square().sum(1, keepdim=True)
        deviation = (x - mean).square().sum(1, keepdim=True)
        parts = [error, deviation, error * changes, deviation * changes]
        self.sums += torch.stack([part.double().sum() for part in parts]).cpu()


@torch.no_grad()
def _measure(model: Autoencoder, frames: Frames) -> _Measured:
    batches = [slice(start, start + BATCH) for start in range(0, len(frames), BATCH)]
    mean = sum(_scaled(model, frames[rows]).double().sum(0) for rows in batches)
    mean = (torch.as_tensor(mean) / len(frames)).float()
    static = _static(model, frames)
    measured = _Measured()
    for rows in batches:
        latents, x, restored = reconstruct_scaled(model, frames[rows])
        measured.latents.append(latents)
        measured.lost.append(lost_details(x - static[0], restored - static[1]).fraction)
        measured.add(x, restored, mean, changed_values(x, _scaled(model, frames.previous(rows))))
    return measured


def _static(model: Autoencoder, frames: Frames) -> tuple[Tensor, Tensor]:
    """Return the mean of a few images and of their reconstructions, ``(C, h, w)`` each.

    Where nothing changes both are 0, so that the images themselves are compared.
    """
    few = frames[evenly_spaced(len(frames), BATCH)]
    _, x, restored = reconstruct_scaled(model, few)
    if bool((x == x[0]).all()):
        return torch.zeros_like(x[0]), torch.zeros_like(x[0])
    return x.mean(0), restored.mean(0)


@torch.no_grad()
def used_dimensions(model: Autoencoder, latents: Tensor) -> int:
    """Return how many dimensions change the decoded image when they move over their range.

    A posterior that follows the prior has latents near 0, and a decoder may ignore latents that
    vary: the variance of the latents counts neither.

    Args:
        model: a model with a decoder.
        latents: those of frames, ``(N, latent_dim)``; the range is from the 1 % to the 99 %
            quantile.
    """
    ends = latents.float().quantile(latents.new_tensor([0.01, 0.99]), dim=0)
    base = latents[torch.from_numpy(evenly_spaced(len(latents), TRAVERSED))]
    return sum(change > USED_CHANGE for change in _changes(model, base, ends))


def _changes(model: Autoencoder, base: Tensor, ends: Tensor) -> Iterator[float]:
    for dimension in range(base.shape[1]):
        moved = base.repeat(2, 1, 1)
        moved[:, :, dimension] = ends[:, dimension, None]
        low, high = _decoded(model, moved.flatten(0, 1)).chunk(2)
        yield float((high - low).abs().flatten(1).amax(1).mean())


@torch.no_grad()
def reconstruct_scaled(model: Autoencoder, observations: Array) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, network inputs and reconstructions, the last two scaled to [0, 1].

    Args:
        model: a model with a decoder.
        observations: ``(B, *observation_shape)``.

    Returns:
        ``(B, latent_dim)`` and twice ``(B, *preprocess.shape)``, on the model's device.
    """
    x = _scaled(model.eval(), observations)
    latents = model.head(model.encoder(x)).mean
    return latents, x, _decoded(model, latents)


def _scaled(model: Autoencoder, observations: Array) -> Tensor:
    x: Tensor = model.preprocess(torch.from_numpy(observations).to(model.device))
    return x


def _decoded(model: Autoencoder, latents: Tensor) -> Tensor:
    return model.likelihood.mean(model.require_decoder()(latents)).clamp(0, 1)


def _explained(error: float, deviation: float) -> float | None:
    return 1 - error / deviation if deviation else None


def _probe(latents: Tensor, factors: Array, index: Array, frames: Frames) -> tuple[float, ...]:
    if factors.ndim != 2 or len(factors) != len(frames):
        raise ValueError(
            f"factors must be (N, F) with a row for each of {len(frames)} frames, "
            f"got shape {factors.shape}"
        )
    scores = linear_probe(latents.cpu().numpy(), factors[index], frames.episodes[index])
    return tuple(scores.tolist())


def _too_little(explained: float, of: str, least: float) -> str:
    kept, wanted = _percent(max(explained, 0)), _percent(least)
    return f"{kept} of the variance of {of} is kept (at least {wanted})"


def _explained_percent(value: float) -> str:
    return "below 0%" if value < 0 else f"{value:.0%}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"
