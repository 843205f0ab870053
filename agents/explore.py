"""The latent explorer of a trained encoder, from the frames of its pretraining or from others."""

from __future__ import annotations

from pathlib import Path

from agents.pretrain import collect_frames
from agents.pretrain_config import read_config, read_data
from agents.pretrain_images import EXPLORER
from latentrl import Frames, load
from latentrl.cli.data import open_data, open_labels
from latentrl.types import Array
from latentrl.viz.explorer import explore


def explore_model(
    path: Path, data: Path | None = None, out: Path | None = None, device: str = "auto"
) -> Path:
    """Write the explorer of the model in ``path`` and return the path of the file.

    Args:
        path: folder of the model.
        data: observations that ``open_data`` opens; None opens those of the pretraining, and
            collects frames of its environment again where they are missing.
        out: the file to write; None is ``latent.html`` beside the model.
        device: device of the model.

    Raises:
        FileNotFoundError: there is no model or no data.
        ValueError: the model does not take the observations, or is not of images.
        TypeError: the model has no decoder.
    """
    model = load(path, device=device)
    frames = _frames_of_pretraining(path) if data is None else open_data(data, model)
    factors = None if data is None or frames.factors else _label(data, frames)
    return explore(model, frames, path / EXPLORER if out is None else out, factors=factors)


def _frames_of_pretraining(path: Path) -> Frames:
    config = read_config(path)
    data = read_data(config)
    return collect_frames(config) if data is None else data


def _label(data: Path, frames: Frames) -> dict[str, Array] | None:
    labels = open_labels(data, frames)
    return None if labels is None else {"label": labels}
