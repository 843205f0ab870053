"""Where a fit has got to, on disk: everything that the next step depends on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.training.checkpoint import read_tensors, write_tensors

RESUME_FILE = "resume.safetensors"


@dataclass
class Progress:
    """The numbers of a running fit."""

    recipe: dict[str, Any]
    """Config of fit and model: a run is resumed only with its own."""
    step: int = 0
    """Gradient steps done."""
    summed: int = 0
    """Gradient steps in the running sums of this epoch's losses."""
    best_loss: float = math.inf
    """Lowest validation loss so far, in nats per frame."""
    best_step: int = 0
    """The step that had it."""
    bad_epochs: int = 0
    """Epochs since then."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """The history, one row an epoch."""


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
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    write_tensors(folder / RESUME_FILE, tensors, {"progress": dataclasses.asdict(progress)})


def begun(folder: Path) -> bool:
    """Tell whether a fit in ``folder``, or that of its features, can be resumed."""
    return any((place / RESUME_FILE).exists() for place in (folder, folder / "features"))


def read_progress(
    folder: Path, recipe: dict[str, Any], model: Autoencoder, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]]:
    """Load the state in ``folder`` into ``model`` and ``optimizer``.

    Returns:
        The progress, the best weights so far, and this epoch's running sums.

    Raises:
        ValueError: there is nothing to resume, or it was begun with another recipe.
    """
    file = folder / RESUME_FILE
    if not file.exists():
        raise ValueError(f"nothing to resume in {folder}: it has no {RESUME_FILE}")
    tensors, notes = read_tensors(file, "progress")
    progress = Progress(**notes)
    _check_recipe(progress.recipe, recipe, folder)
    model.load_state_dict(_part(tensors, "model."))
    _load_optimizer(optimizer, _part(tensors, "optimizer."))
    return progress, _part(tensors, "best."), _part(tensors, "sums.")


def _check_recipe(begun: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    before, after = _flat(begun), _flat(now)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            raise ValueError(
                f"the run in {folder} was begun with {key}={before.get(key)}, not {after.get(key)}: "
                "resume it with its own settings, or start afresh in another folder"
            )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.rstrip("."): list(tree) if isinstance(tree, tuple) else tree}
    return {
        key: value
        for name, item in tree.items()
        for key, value in _flat(item, f"{prefix}{name}.").items()
    }


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = optimizer.param_groups[0]["params"]
    for name, value in tensors.items():
        index, key = name.split(".")
        parameter = parameters[int(index)]
        # The fused kernel walks memory, so moments need their parameter's device and memory layout.
        like = parameter if value.shape == parameter.shape else value
        moment = torch.empty_like(like, dtype=value.dtype, device=parameter.device)
        optimizer.state[parameter][key] = moment.copy_(value).detach()
