"""What an optimizer remembers of its gradients, as tensors with names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

PREFIX = "moments."


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return copies of all that the optimizer keeps of each parameter; nothing before its first
    step.
    """
    kept = optimizer.state_dict()["state"]
    return {
        f"{PREFIX}{i}.{name}": value.clone()
        for i, each in kept.items()
        for name, value in each.items()
    }


def load_moments(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take what ``moments`` returned; other names are left alone."""
    kept: dict[int, dict[str, Any]] = {}
    for key in filter(is_moment, state):
        number, _, name = key.removeprefix(PREFIX).partition(".")
        kept.setdefault(int(number), {})[name] = state[key].clone()
    optimizer.load_state_dict(
        {"state": kept, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def is_moment(name: str) -> bool:
    """Whether ``moments`` gave this name."""
    return name.startswith(PREFIX)
