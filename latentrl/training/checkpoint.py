"""save() and load(): one safetensors file with weights and config, and a readable config.json."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from latentrl.data.bounds import channel_bounds
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.types import describe_space, space_from_json
from latentrl.utils.decoding import decode
from latentrl.utils.device import pick_device
from latentrl.utils.hub import local_folder
from latentrl.utils.io import (
    name_not_finite,
    read_tensors,
    strip_prefixes,
    write_json,
    write_tensors,
)

FORMAT, OLDEST = 3, 2
"""Version that is written, with a range of each channel of images, and the oldest that is read."""
WEIGHTS = "model.safetensors"
TRAIN = ": train an encoder on its frames"
ELSE = "; otherwise train an encoder on its frames"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Description:
    """The header of a saved model."""

    format: int
    """Version of the file."""
    config: Mapping[str, Any]
    """What ``AutoencoderConfig.to_json`` returned."""
    metadata: Mapping[str, Any]
    """Origin of the training data, in JSON."""


def save(model: Autoencoder, path: str | Path) -> Path:
    """Write ``model`` to the folder ``path``; a kill at any moment leaves the old or the new one.

    ``load`` reads the file of the weights alone, which holds the config too; ``config.json`` beside
    it is for people and for the Hugging Face Hub.

    Returns:
        The folder.

    Raises:
        TypeError: ``model`` is no model.
        FloatingPointError: some weights are NaN or infinite; what is in the folder is unchanged.
        OSError: the disk is full or cannot be written.
    """
    if not isinstance(model, Autoencoder):
        raise TypeError(f"save takes a model, then a folder; got {type(model).__name__}")
    path = Path(path)
    weights = model.state_dict()
    broken = name_not_finite(weights)
    if broken is not None:
        raise FloatingPointError(
            f"{broken!r} has values that are not finite: this model is not saved to {path}; train "
            "it again with a lower learning_rate or with gradient_clip"
        )
    description = Description(FORMAT, model.config.to_json(), model.metadata)
    notes = dataclasses.asdict(description)
    write_tensors(path / WEIGHTS, weights, {"latentrl": notes})
    write_json(path / "config.json", notes)
    return path


def load(
    path: str | Path, device: str = "auto", observation_space: spaces.Space[Any] | None = None
) -> Autoencoder:
    """Read the model that ``save`` wrote.

    Args:
        path: the folder, or ``hf://user/name[@revision]`` of a repository on the Hugging Face Hub,
            of which the file of the weights is downloaded to the Hub's cache.
        device: device of the weights; "auto" is the GPU where there is one.
        observation_space: space of the observations to encode, to be checked now, not at the first
            of them.

    Raises:
        FileNotFoundError: there is no model, or the Hub cannot be reached.
        ValueError: the file is damaged, foreign or of another format, or the model is for other
            observations.
        PermissionError, ImportError: the Hub refuses access, or huggingface_hub is missing.
    """
    path = local_folder(path, WEIGHTS)
    tensors, notes = read_tensors(path / WEIGHTS, "latentrl")
    description = _read_description(notes, path)
    weights = {strip_prefixes(name): tensor for name, tensor in tensors.items()}
    model = _build(description, weights, str(path / WEIGHTS))
    model.metadata, model.source = dict(description.metadata), str(path)
    if observation_space is not None:
        check_observation_space(model, observation_space)
    return model.to(pick_device(device)).eval()


def _read_description(notes: Any, path: Path) -> Description:
    where = f"the header of {path / WEIGHTS}"
    version = decode(dict[str, Any], notes, where).get("format")
    _check_format(path, decode(int, version, f"format in {where}"))
    description: Description = decode(Description, notes, where)
    # Training reads the environment's settings from there.
    data = decode(Mapping[str, Any], description.metadata.get("data", {}), f"data in {where}")
    decode(Mapping[str, Any], data.get("environment", {}), f"environment in {where}")
    decode(Sequence[str] | None, data.get("columns"), f"columns in {where}")
    return description


def _check_format(path: Path, version: int) -> None:
    if version < OLDEST:
        raise ValueError(
            f"{path} has model format {version}, written by latentrl 0.2 or older: train it again"
        )
    if version > FORMAT:
        raise ValueError(
            f"{path} has model format {version}, this version reads up to {FORMAT}: update latentrl"
        )


def _build(description: Description, weights: Mapping[str, Tensor], where: str) -> Autoencoder:
    try:
        decoded = AutoencoderConfig.from_json(description.config)
        # Without memory, until the tensors of the file are known to be those of this config.
        with torch.device("meta"):
            expected = Autoencoder(decoded).state_dict()
    except ValueError as error:
        own = "; import the module of a part of your own first, or add --plugin MODULE"
        hint = own if str(error).startswith("unknown ") else ""
        raise ValueError(f"{where} describes no model: {error}{hint}") from error
    if description.format == OLDEST:
        weights = {**weights, **_lacking(weights, space_from_json(decoded.space))}
    check_weights(weights, expected, where)
    model = Autoencoder(decoded)
    model.load_state_dict(weights)
    return model


def _lacking(weights: Mapping[str, Tensor], space: spaces.Box) -> dict[str, Tensor]:
    """Return the buffers that format 2 lacks: all channels had one range, and no value a limit."""
    mean = weights.get("preprocess.mean")
    if mean is not None:
        return {"preprocess.constant": torch.zeros_like(mean, dtype=torch.bool)}
    channels = (*space.shape, 1)[2]
    bounds = {"low": float(space.low.min()), "high": float(space.high.max())}
    return {f"preprocess.{name}": torch.full((channels,), bounds[name]) for name in bounds}


def check_weights(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str
) -> None:
    """Check tensors that were read from a file before a module loads them.

    Args:
        weights: the tensors of the file.
        expected: what the module's ``state_dict`` returns.
        where: the file, with which error messages begin.

    Raises:
        ValueError: a tensor is missing, superfluous, of another shape or kind of number, or
            contains NaN or infinity.
    """
    for name in sorted(weights.keys() ^ expected.keys()):
        problem = "lacks the tensor" if name in expected else "has a tensor of no use,"
        raise ValueError(f"{where} {problem} {name!r}: another version or program wrote it")
    for name, tensor in weights.items():
        wanted = expected[name]
        floats = tensor.dtype in FLOATS and wanted.dtype in FLOATS
        if tensor.shape != wanted.shape or not (floats or tensor.dtype == wanted.dtype):
            raise ValueError(
                f"{where} holds {name!r} as {_describe(tensor)}, its config needs "
                f"{_describe(wanted)}"
            )
    broken = name_not_finite(weights)
    if broken is not None:
        raise ValueError(f"{where} cannot be used: {broken!r} has values that are not finite")


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def load_shared(path: str | Path, device: str = "auto") -> Autoencoder:
    """Load a model once per process: one object per file, until its content changes."""
    path = local_folder(path, WEIGHTS)
    file = path / WEIGHTS
    # Neither path nor time identify a file: the path may be relative, and a copy keeps the time.
    content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    return _load_cached(str(path), device, content)


@functools.lru_cache(maxsize=8)
def _load_cached(path: str, device: str, content: str) -> Autoencoder:  # noqa: ARG001 - a key
    return load(path, device)


def check_observation_space(encoder: Any, space: spaces.Space[Any]) -> None:
    """Raise ``ValueError`` where ``space`` is not ``encoder.observation_space``.

    An encoder without this attribute takes any observations.
    """
    expected = getattr(encoder, "observation_space", None)
    if expected is None or (isinstance(space, spaces.Box) and _same(expected, space)):
        return
    hint = _hint(encoder, space) if isinstance(space, spaces.Box) else TRAIN
    takes, gives = describe_space(expected), describe_space(space)
    if isinstance(space, spaces.Box) and takes == gives:
        takes, gives = f"{takes} in {_range(expected)}", f"{gives} in {_range(space)}"
        hint = ": scale its observations, or train an encoder on its frames"
    raise ValueError(
        f"the encoder takes observations of {takes}, the environment gives {gives}{hint}"
    )


def _hint(encoder: Any, space: spaces.Box) -> str:
    """Return a remedy that fits observations of ``space``, by the wrapper that may give them."""
    expected, given = encoder.observation_space.shape, space.shape
    if not (expected and given):
        return TRAIN
    if given == (*expected[-1:], *expected[:-1]) and len(given) > 1:
        return "; these look channels-first: wrap before VecTransposeImage, or transpose them"
    if space == getattr(encoder, "latent_space", None):
        return "; these are its own latents: the environment is wrapped already"
    stacked = given[:-1] == expected[:-1] and given[-1] > expected[-1]
    if given[1:] == expected or (stacked and given[-1] % expected[-1] == 0):
        return f"; if frames are stacked, wrap below the stack, since agents stack latents{ELSE}"
    if len(expected) == 3 and given in (expected[:2], (*expected[:2], 1)):
        return f"; if a wrapper makes them grey, leave it out{ELSE}"
    if len(given) == len(expected) == 3 and given[2] == expected[2] and given != expected:
        return f"; if a wrapper resizes them, leave it out, since the encoder resizes{ELSE}"
    return TRAIN


def _same(expected: spaces.Box, space: spaces.Box) -> bool:
    if expected.shape != space.shape or expected.dtype != space.dtype:
        return False
    # Bounds scale images. Vectors are scaled by the data, and arrays of them have no bounds.
    bounds = np.array([channel_bounds(expected), channel_bounds(space)])
    images = len(space.shape) >= 2 and np.isfinite(bounds).all()
    return not images or bool((bounds[0] == bounds[1]).all())


def _range(space: spaces.Box) -> str:
    ranges = [f"[{low:g}, {high:g}]" for low, high in zip(*channel_bounds(space), strict=True)]
    return ", ".join(ranges if len(set(ranges)) > 1 else ranges[:1])
