"""save() and load(): one safetensors file that holds weights and config, and a readable
config.json.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig
from latentrl.types import describe_space
from latentrl.utils.io import write_atomically, write_json

FORMAT = 1
WEIGHTS = "model.safetensors"
WRAPPERS = ("module", "_orig_mod")


def pick_device(device: str = "auto") -> torch.device:
    """Return the device called ``device``; "auto" is the GPU where there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here; try 'auto' or 'cpu'") from error
    return torch.device(device)


def save(model: Autoencoder, path: str | Path) -> Path:
    """Write ``model`` to the folder ``path``; a kill at any moment leaves the old or the new one.

    The weights' file holds the config too and is what ``load`` reads; ``config.json`` beside it is
    for people and for the Hugging Face Hub.

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
        device: where to put it; "auto" is the GPU where there is one.
        observation_space: what the model will be given, to be checked now rather than later.

    Raises:
        FileNotFoundError: there is no model.
        ValueError: it is damaged, foreign, of a newer format, or for other observations.
    """
    path = Path(path)
    tensors, description = read_tensors(path / WEIGHTS, "latentrl")
    if description["format"] > FORMAT:
        raise ValueError(
            f"{path} has model format {description['format']}, this version reads up to {FORMAT}: update latentrl"
        )
    model = Autoencoder(AutoencoderConfig.from_json(description["config"]))
    model.load_state_dict({strip_prefixes(name): tensor for name, tensor in tensors.items()})
    model.metadata, model.source = description["metadata"], str(path)
    if observation_space is not None:
        check_observation_space(model, observation_space)
    return model.to(pick_device(device)).eval()


def load_shared(path: str | Path, device: str = "auto") -> Autoencoder:
    """Load a model once and share it: the same file gives the same object, until it changes."""
    file = Path(path).resolve() / WEIGHTS
    stamp = file.stat().st_mtime_ns if file.exists() else 0
    return _load_cached(str(path), device, stamp)


@functools.lru_cache(maxsize=8)
def _load_cached(path: str, device: str, stamp: int) -> Autoencoder:  # noqa: ARG001 - part of the cache's key
    return load(path, device)


def check_observation_space(encoder: Any, space: spaces.Space[Any]) -> None:
    """Raise ``ValueError`` where ``space`` is not what ``encoder.observation_space`` says it
    takes.
    """
    expected = getattr(encoder, "observation_space", None)
    if expected is None or (isinstance(space, spaces.Box) and _same(expected, space)):
        return
    hint = ""
    if isinstance(space, spaces.Box) and space.shape == (
        *expected.shape[-1:],
        *expected.shape[:-1],
    ):
        hint = "; these look channels-first: wrap before VecTransposeImage, or transpose them"
    raise ValueError(
        f"the encoder takes observations of {describe_space(expected)}, "
        f"the environment gives {describe_space(space)}{hint}"
    )


def _same(expected: spaces.Box, space: spaces.Box) -> bool:
    return expected.shape == space.shape and expected.dtype == space.dtype


def strip_prefixes(name: str) -> str:
    """Remove what DistributedDataParallel and torch.compile put before parameter names."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and JSON ``notes`` to one safetensors file, atomically, with checksums."""
    kept = {
        strip_prefixes(name): tensor.detach().cpu().contiguous() for name, tensor in tensors.items()
    }
    header = {key: json.dumps(value) for key, value in notes.items()}
    header["header_crc32"] = _header_checksum(kept, header)
    header["crc32"] = str(_checksum(kept))
    write_atomically(path, lambda temporary: save_file(kept, temporary, header))


def read_tensors(path: Path, note: str) -> tuple[dict[str, Tensor], Any]:
    """Read what ``write_tensors`` wrote: the tensors, and the note called ``note``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or something else wrote it.
    """
    if not path.exists():
        raise FileNotFoundError(f"no model at {path.parent}: it has no {path.name}")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if note not in header:
        raise ValueError(f"{path} was not written by latentrl: its header has no {note!r}")
    expected = _header_checksum(tensors, header)
    if (
        header.get("crc32") != str(_checksum(tensors))
        or header.get("header_crc32", expected) != expected
    ):
        raise ValueError(f"{path} is damaged: its contents do not match their checksum")
    return tensors, json.loads(header[note])


def _header_checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    kinds = {name: f"{tensor.dtype} {list(tensor.shape)}" for name, tensor in tensors.items()}
    notes = {key: value for key, value in header.items() if key not in ("crc32", "header_crc32")}
    return str(zlib.crc32(json.dumps([kinds, notes], sort_keys=True).encode()))


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(name for name, tensor in tensors.items() if tensor.numel()):
        total = zlib.crc32(
            tensors[name].reshape(-1).contiguous().view(torch.uint8).numpy().data, total
        )
    return total
