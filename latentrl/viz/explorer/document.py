"""``explore``: what the page shows of a model and its frames, written as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentrl.data.frames import Frames
from latentrl.data.readers import check_factor
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations
from latentrl.models.preprocessing import ImagePreprocessor
from latentrl.models.stored import frames_of
from latentrl.types import Array, describe_space
from latentrl.utils.io import write_text
from latentrl.viz.explorer.encoding import to_json
from latentrl.viz.explorer.latents import Sample, data_map, dimensions
from latentrl.viz.explorer.networks import image_format, networks
from latentrl.viz.explorer.strip import STEPS, Episode, episode_strip, longest_episode
from latentrl.viz.explorer.template import page
from latentrl.viz.images import colormap

MAX_BYTES = 5_000_000
"""Size of the file that is never exceeded."""
DATA_BYTES = 2_400_000
"""Most bytes of frames and latents; the rest is for networks."""
POINTS = 600
"""Frames on the map, evenly spaced."""


def explore(
    model: Autoencoder,
    frames: Observations,
    path: str | Path,
    *,
    episode: Episode | None = None,
    factors: Mapping[str, Array] | None = None,
) -> Path:
    """Write a self-contained HTML page that decodes latents as sliders move.

    The page needs no network and opens from disk. It runs the decoder, and the encoder where there
    is room, on weights rounded to float16; images of traversals replace a decoder that is too large
    or of layers that the page does not have.

    Args:
        model: a model of images with a decoder.
        frames: observations of the model's space, or a path that ``as_frames`` opens.
        path: the file to write.
        episode: observations of the strip; None takes the longest episode among ``frames``.
        factors: known factors of ``frames`` by name, ``(N,)`` each, beside those that they have;
            NaN is unknown. They colour the map and sort the dimensions.

    Returns:
        The path of the file, which is below 5 MB.

    Raises:
        TypeError: the model has no decoder.
        ValueError: the model is not of images, frames or episode do not belong to it, there are
            none, or a factor does not have one number per frame.
        FileNotFoundError: there are no frames at the path.
    """
    _check_model(model)
    opened = _opened(model, frames)
    known = _varied(opened.factors)
    known |= {name: check_factor(name, f, len(opened)) for name, f in (factors or {}).items()}
    chosen = episode or longest_episode(opened)
    _check_episode(model, opened, chosen)
    target = Path(path)
    write_text(target, page(_document(model, opened, chosen, known)))
    return target


def _check_model(model: Autoencoder) -> None:
    model.require_decoder()
    if not isinstance(model.preprocess, ImagePreprocessor):
        raise ValueError(
            "the explorer is for models of images; this one takes observations of "
            f"{describe_space(model.observation_space)}"
        )


def _opened(model: Autoencoder, source: Observations) -> Frames:
    frames = frames_of(model, source)
    if not len(frames):
        raise ValueError("the explorer needs at least one frame, got none")
    return frames


def _check_episode(model: Autoencoder, frames: Frames, episode: Episode) -> None:
    shape = episode.observations.shape[1:]
    # Frames of a store may have been resized already.
    if shape not in (model.observation_space.shape, frames.space.shape):
        raise ValueError(
            f"the model takes observations of {describe_space(model.observation_space)}, those of "
            f"the episode have shape {shape}"
        )


def _varied(factors: Mapping[str, Array]) -> dict[str, Array]:
    """Return the factors that take more than one value in these frames."""
    known = {name: values[np.isfinite(values)] for name, values in factors.items()}
    return {name: factors[name] for name, values in known.items() if len(np.unique(values)) > 1}


def _document(
    model: Autoencoder, frames: Frames, episode: Episode, factors: Mapping[str, Array]
) -> dict[str, Any]:
    sample = Sample.of(model, frames, POINTS)
    document = {
        **_header(model, frames, len(sample.index)),
        "image": image_format(model),
        "dimensions": dimensions(model, sample),
        "start": sample.typical,
        **_data(model, frames, sample, episode, factors),
    }
    return {**document, **networks(model, document, MAX_BYTES - len(page(document)))}


def _header(model: Autoencoder, frames: Frames, count: int) -> dict[str, Any]:
    environment = frames.metadata.get("environment", {}).get("id")
    return {
        "title": f"{environment or 'Latents'} · {model.config.model}",
        "facts": f"{model.latent_dim} latent dimensions, statistics of {count:,} frames",
        "measure": _measure(model),
        "grid": model.latent_layout.grid,
        "inferno": colormap(np.arange(256), 0, 255),
    }


def _measure(model: Autoencoder) -> str:
    """Name of the amount by which the dimensions are sorted."""
    if model.latent_layout.grid is not None:
        return "change"
    return "KL" if model.variational else "variance"


def _data(
    model: Autoencoder,
    frames: Frames,
    sample: Sample,
    episode: Episode,
    factors: Mapping[str, Array],
) -> dict[str, Any]:
    """Describe map and strip, with fewer frames where all of them take too many bytes."""
    every, steps = 1, len(episode.first(STEPS).observations)
    while True:
        data = {
            "map": data_map(model, frames, sample[::every], factors),
            "strip": episode_strip(model, episode.first(steps)),
        }
        if len(to_json(data)) <= DATA_BYTES or steps <= 1:
            return data
        every, steps = 2 * every, (steps + 1) // 2
