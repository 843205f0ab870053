"""save() and load(): one safetensors file with weights and config, and a readable config.json."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.types import describe_space
from latentrl.utils.device import pick_device
from latentrl.utils.io import read_tensors, strip_prefixes, write_json, write_tensors

FORMAT = 2
"""Version of the file; 2 names components by their specs and has ``reconstruction``."""
WEIGHTS = "model.safetensors"


def save(model: Autoencoder, path: str | Path) -> Path:
    """Write ``model`` to the folder ``path``; a kill at any moment leaves the old or the new one.

    ``load`` reads the file of the weights alone, which holds the config too; ``config.json`` beside
    it is for people and for the Hugging Face Hub.

    Returns:
        The folder.
    """
    path = Path(path)
    description = {"format": FORMAT, "config": model.config.to_json(), "metadata": model.metadata}
    write_tensors(path / WEIGHTS, model.state_dict(), {"latentrl": description})
    write_json(path / "config.json", description)
    return path


def load(
    path: str | Path, device: str = "auto", observation_space: spaces.Space[Any] | None = None
) -> Autoencoder:
    """Read the model that ``save`` wrote.

    Args:
        path: the folder.
        device: device of the weights; "auto" is the GPU where there is one.
        observation_space: space of the observations to encode, to be checked now, not at the first
            of them.

    Raises:
        FileNotFoundError: there is no model.
        ValueError: the file is damaged, foreign or of another format, or the model is for other
            observations.
    """
    path = Path(path)
    tensors, description = read_tensors(path / WEIGHTS, "latentrl")
    _check_format(path, description["format"])
    model = Autoencoder(AutoencoderConfig.from_json(description["config"]))
    model.load_state_dict({strip_prefixes(name): tensor for name, tensor in tensors.items()})
    model.metadata, model.source = description["metadata"], str(path)
    if observation_space is not None:
        check_observation_space(model, observation_space)
    return model.to(pick_device(device)).eval()


def _check_format(path: Path, version: int) -> None:
    if version < FORMAT:
        raise ValueError(
            f"{path} has model format {version}, written by latentrl 0.2 or older: train it again"
        )
    if version > FORMAT:
        raise ValueError(
            f"{path} has model format {version}, this version reads {FORMAT}: update latentrl"
        )


def load_shared(path: str | Path, device: str = "auto") -> Autoencoder:
    """Load a model once per process: one object per file, until the file changes."""
    file = Path(path).resolve() / WEIGHTS
    stamp = file.stat().st_mtime_ns if file.exists() else 0
    return _load_cached(str(path), device, stamp)


@functools.lru_cache(maxsize=8)
def _load_cached(path: str, device: str, stamp: int) -> Autoencoder:  # noqa: ARG001 - a key
    return load(path, device)


def check_observation_space(encoder: Any, space: spaces.Space[Any]) -> None:
    """Raise ``ValueError`` where ``space`` is not ``encoder.observation_space``.

    An encoder without this attribute takes any observations.
    """
    expected = getattr(encoder, "observation_space", None)
    if expected is None or (isinstance(space, spaces.Box) and _same(expected, space)):
        return
    hint = ""
    channels_first = (*expected.shape[-1:], *expected.shape[:-1])
    if isinstance(space, spaces.Box) and space.shape == channels_first:
        hint = "; these look channels-first: wrap before VecTransposeImage, or transpose them"
    takes, gives = describe_space(expected), describe_space(space)
    if isinstance(space, spaces.Box) and takes == gives:
        takes, gives = f"{takes} in {_range(expected)}", f"{gives} in {_range(space)}"
        hint = ": scale its observations, or train an encoder on its frames"
    raise ValueError(
        f"the encoder takes observations of {takes}, the environment gives {gives}{hint}"
    )


def _same(expected: spaces.Box, space: spaces.Box) -> bool:
    # Bounds scale images. Vectors are scaled by the data, and arrays of them have no bounds.
    images = len(space.shape) >= 2 and np.isfinite([*_bounds(expected), *_bounds(space)]).all()
    same_bounds = not images or _bounds(expected) == _bounds(space)
    return expected.shape == space.shape and expected.dtype == space.dtype and same_bounds


def _bounds(space: spaces.Box) -> tuple[float, float]:
    return float(space.low.min()), float(space.high.max())


def _range(space: spaces.Box) -> str:
    return "[{:g}, {:g}]".format(*_bounds(space))
