"""The state of a running fit on disk: everything that its next step depends on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.training.checkpoint import check_weights
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from latentrl.utils.decoding import decode
from latentrl.utils.io import name_not_finite, read_tensors, write_tensors
from latentrl.utils.settings import check_same_settings

RESUME_FILE = "resume.safetensors"
PREREQUISITE = "prerequisite"
"""Subfolder of the model that a fit trains first, where its model needs one."""


@dataclass
class Progress:
    """The numbers of a running fit."""

    recipe: dict[str, Any]
    """Config of fit and model, and fingerprint of the frames: a run resumes only with its own."""
    step: int = 0
    """Gradient steps done."""
    summed: int = 0
    """Gradient steps in the running sums of the losses since the last validation."""
    best_loss: float = math.inf
    """Lowest validation loss so far, in nats per frame."""
    best_step: int = 0
    """Gradient step of the lowest validation loss."""
    bad_epochs: int = 0
    """Validations since the lowest validation loss."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """History, one row per validation."""


def write_progress(
    folder: Path,
    progress: Progress,
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    sums: dict[str, Tensor],
) -> None:
    """Write the state of a fit to ``folder``, atomically."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    tensors |= {f"sums.{name}": tensor for name, tensor in sums.items()}
    tensors |= optimizer_tensors(optimizer)
    write_tensors(folder / RESUME_FILE, tensors, {"progress": dataclasses.asdict(progress)})


def has_progress(folder: Path) -> bool:
    """Return whether a fit in ``folder``, or its prerequisite, can be resumed."""
    return any((place / RESUME_FILE).exists() for place in (folder, folder / PREREQUISITE))


def read_progress(
    folder: Path, recipe: dict[str, Any], model: Autoencoder, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]]:
    """Load the state in ``folder`` into ``model`` and ``optimizer``.

    Returns:
        The progress, the best weights so far, and the running sums of the losses.

    Raises:
        ValueError: there is nothing to resume, the file is damaged or not finite, or the run has
            another recipe.
    """
    file = folder / RESUME_FILE
    if not file.exists():
        raise ValueError(f"nothing to resume in {folder}: it has no {RESUME_FILE}")
    tensors, notes = read_tensors(file, "progress")
    progress: Progress = decode(Progress, notes, f"the header of {file}")
    check_same_settings(
        progress.recipe,
        recipe,
        f"the run in {folder}",
        "resume it with its own settings, or start a new run in another folder",
    )
    sums = _below(tensors, "sums.")
    scalars = all(total.shape == () and total.dtype == torch.float32 for total in sums.values())
    if not scalars or (sums and progress.summed < 1):
        raise ValueError(f"{file} is damaged: its running sums are none")
    weights = _below(tensors, "model.")
    best = _below(tensors, "best.")
    for state in (weights, best):
        check_weights(state, model.state_dict(), str(file))
    broken = name_not_finite(tensors)
    if broken is not None:
        raise ValueError(f"{file} cannot be used: {broken!r} has values that are not finite")
    model.load_state_dict(weights)
    load_optimizer_tensors(optimizer, tensors)
    return progress, best, sums


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
