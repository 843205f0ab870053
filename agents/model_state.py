"""The state of an SB3 algorithm and its normalization as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecNormalize

from latentrl.training.checkpoint import check_weights
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors

OPTIMIZER = "optimizer."


def model_tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    """Return all that SB3 would save by torch: networks, optimizers, and variables beside them."""
    states, variables = model._get_torch_save_params()
    tensors = {f"variables.{name}": recursive_getattr(model, name) for name in variables}
    for name in states:
        part = recursive_getattr(model, name)
        if isinstance(part, torch.optim.Optimizer):
            tensors |= optimizer_tensors(part, f"optimizer.{name}/")
        else:
            # Copies: SB3's image policies list one and the same tensor under three names.
            tensors |= {f"weights.{name}/{key}": v.clone() for key, v in part.state_dict().items()}
    return tensors


def load_model_tensors(model: BaseAlgorithm, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load what ``model_tensors`` returned."""
    states, variables = model._get_torch_save_params()
    for name in states:
        part = recursive_getattr(model, name)
        if isinstance(part, torch.optim.Optimizer):
            load_optimizer_tensors(part, tensors, f"optimizer.{name}/")
        else:
            part.load_state_dict(_below(tensors, f"weights.{name}/"))
    for name in variables:
        # In place: SAC's log_ent_coef is the parameter that its optimizer holds.
        recursive_getattr(model, name).data.copy_(tensors[f"variables.{name}"])


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _running_statistics(venv: VecNormalize) -> dict[str, RunningMeanStd]:
    statistics = {"returns": venv.ret_rms}
    if venv.norm_obs and isinstance(venv.obs_rms, RunningMeanStd):
        statistics["latents"] = venv.obs_rms
    return statistics


def statistics(venv: VecNormalize) -> dict[str, torch.Tensor]:
    """Return mean, variance and count of each quantity that the wrapper normalizes, float64."""
    return {
        f"normalize.{target}.{field}": torch.as_tensor(np.asarray(getattr(rms, field), np.float64))
        for target, rms in _running_statistics(venv).items()
        for field in ("mean", "var", "count")
    }


def load_statistics(venv: VecNormalize, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load what ``statistics`` returned."""
    for target, rms in _running_statistics(venv).items():
        fields = _below(tensors, f"normalize.{target}.")
        rms.mean = fields["mean"].numpy().copy()
        rms.var = fields["var"].numpy().copy()
        rms.count = fields["count"].item()


def check_tensors(
    tensors: Mapping[str, torch.Tensor], model: BaseAlgorithm, venv: VecNormalize, where: str
) -> None:
    """Check tensors of a file before a freshly built algorithm and its wrapper load them.

    Raises:
        ValueError: a tensor is missing, superfluous, or of another shape or kind, or a variance or
            a count is negative.
    """
    expected = {
        name: tensor
        for name, tensor in (model_tensors(model) | statistics(venv)).items()
        if not name.startswith(OPTIMIZER)
    }
    others = {name: value for name, value in tensors.items() if not name.startswith(OPTIMIZER)}
    check_weights(others, expected, where)
    for name in others:
        if name.endswith((".var", ".count")) and bool((others[name] < 0).any()):
            raise ValueError(f"{where} holds a negative value in {name!r}")
