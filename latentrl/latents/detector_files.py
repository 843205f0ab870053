"""Files of an anomaly detector: one safetensors file beside that of its model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentrl.latents.neighbours import References
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.checkpoint import load, save
from latentrl.types import Array
from latentrl.utils.io import read_tensors, write_tensors

FORMAT = 3
"""Version of the file."""
DETECTOR = "detector.safetensors"
NOTE = "latentrl_anomaly_detector"
ARRAYS = ("vectors", "scales", "typical", "own", "centre", "width")
"""Arrays of ``References`` in the file; a detector without references has none of them."""


def has_detector(path: str | Path) -> bool:
    """Return whether the folder ``path`` holds an anomaly detector."""
    return (Path(path) / DETECTOR).exists()


def write(
    path: str | Path, model: Autoencoder, references: References | None, settings: dict[str, Any]
) -> Path:
    """Write a detector to the folder ``path`` and return it; ``settings`` must be JSON."""
    folder = save(model, path)
    tensors, tiny = {}, None
    if references is not None:
        tensors = {name: torch.from_numpy(getattr(references, name)) for name in ARRAYS}
        tiny = references.tiny
    note = {"format": FORMAT, "model": _digest(model), "settings": settings, "tiny": tiny}
    write_tensors(folder / DETECTOR, tensors, {NOTE: note})
    return folder


def read(
    path: str | Path, device: str = "auto"
) -> tuple[Autoencoder, References | None, dict[str, Any]]:
    """Read what ``write`` wrote.

    Raises:
        FileNotFoundError: there is no detector.
        ValueError: the file is damaged, foreign, of another format, or not of this model.
    """
    file = Path(path) / DETECTOR
    if not has_detector(path):
        raise FileNotFoundError(f"no anomaly detector at {path}: it has no {DETECTOR}")
    tensors, note = read_tensors(file, NOTE)
    if not isinstance(note, dict) or note.get("format") != FORMAT:
        raise ValueError(f"{file} is not of format {FORMAT}: fit and save the detector again")
    model = load(path, device)
    if note.get("model") != _digest(model):
        raise ValueError(
            f"{path} holds another model than its detector belongs to: fit the detector again, and "
            "save it in a folder of its own"
        )
    if not tensors:
        return model, None, _settings(file, note)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    _check(file, arrays, note.get("tiny"))
    return model, References(tiny=float(note["tiny"]), **arrays), _settings(file, note)


def _digest(model: Autoencoder) -> str:
    """Digest of weights and statistics: scores of another model have other thresholds."""
    content = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode())
        # ``load`` reads weights of half precision as float32.
        number = tensor.float() if tensor.is_floating_point() else tensor
        content.update(number.cpu().numpy().tobytes())
    return content.hexdigest()


def _settings(file: Path, note: dict[str, Any]) -> dict[str, Any]:
    settings = note.get("settings")
    expected = {"threshold", "false_alarm_rate", "max_references", "seed", "columns"}
    if not isinstance(settings, dict) or set(settings) != expected:
        raise ValueError(f"{file} is damaged: expected the settings {', '.join(sorted(expected))}")
    return settings


def _check(file: Path, arrays: dict[str, Array], tiny: Any) -> None:
    """Raise ``ValueError`` where the arrays are no references of one another."""
    whole = set(arrays) == set(ARRAYS) and isinstance(tiny, float) and tiny > 0
    if not whole or not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(f"{file} is damaged: expected finite arrays {', '.join(ARRAYS)}")
    vectors, terms = arrays["vectors"], len(arrays["centre"])
    shapes = {"own": (len(vectors),), "scales": (2,), "width": (terms,), "centre": (terms,)}
    shapes["typical"] = (arrays["typical"].size,)
    if vectors.ndim != 2 or any(arrays[name].shape != shape for name, shape in shapes.items()):
        raise ValueError(f"{file} is damaged: its arrays do not fit one another")
