"""Agents on disk: safetensors and JSON, never a pickle, so that loading one runs no code."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecNormalize

from agents.algorithms import check_actions, find_algorithm
from agents.algorithms.hyperparameters import constructor_arguments, policy_name
from agents.config import AgentConfig
from agents.parts import Part, has_part, read_part, remove_other_parts, write_parts
from agents.replay import load_replay, replay_part
from agents.venv import layout_of
from latentrl.novelty import NormalizedBonus
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from latentrl.utils.io import read_tensors, write_tensors
from latentrl.utils.signals import held_interrupts

FORMAT = 3
"""Format that is written. Format 2 has no stamp: its parts are files without one in their names."""
OLDEST = 2
WEIGHTS = "agent.safetensors"
COUNTERS = {"timesteps": "num_timesteps", "updates": "_n_updates", "episodes": "_episode_num"}
"""Attributes of every SB3 algorithm that a resumed run continues, by their names on disk."""


def build(
    config: AgentConfig, venv: VecNormalize, seed: int = 0, device: str = "auto"
) -> BaseAlgorithm:
    """Build the algorithm that ``config`` describes, with fresh weights.

    Args:
        config: the agent.
        venv: what ``build_venv`` made.
        seed: seed of weights and exploration.
        device: device of a policy on pixels.

    Raises:
        ValueError: the algorithm cannot take these actions or these hyperparameters.
    """
    check_actions(config.algo, venv.action_space, config.environment.id)
    arguments = constructor_arguments(config.hyperparameters, layout_of(venv), config.stack)
    # A small MLP is faster on the CPU than the copies to a GPU are.
    device = "cpu" if config.latent else device
    try:
        return find_algorithm(config.algo).cls(
            policy_name(config.latent), venv, seed=seed, device=device, **arguments
        )
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"{config.algo} cannot be built with {dict(config.hyperparameters)}: {error}"
        ) from error


def save_agent(
    folder: Path,
    config: AgentConfig,
    model: BaseAlgorithm,
    venv: VecNormalize,
    *,
    replay: bool = False,
    novelty: NormalizedBonus | None = None,
    validation: Mapping[str, Any] | None = None,
) -> None:
    """Write weights, optimizers, normalization and counters to ``folder``, atomically.

    The file of the weights is written last and names the stamp of the other parts, which a new
    checkpoint does not overwrite: a kill at any moment leaves the old checkpoint or the new one.

    Args:
        folder: folder of the checkpoint.
        config: the agent.
        model: the algorithm.
        venv: the normalizing wrapper that it learns in.
        replay: whether to write the replay buffer of an off-policy algorithm, too.
        novelty: bonus whose state is written, too.
        validation: result of this agent's validation, in JSON.

    Raises:
        FloatingPointError: a tensor is not finite; the old checkpoint stays.
    """
    tensors = _model_tensors(model) | _statistics(venv)
    if name := not_finite(tensors):
        raise FloatingPointError(f"{name} holds NaN or infinity: nothing is written to {folder}")
    parts = _parts(model, replay, novelty)
    stamp = uuid.uuid4().hex
    state = {name: getattr(model, attribute) for name, attribute in _attributes(config).items()}
    notes = {"format": FORMAT, "config": config.to_json(), **state}
    notes |= {"stamp": stamp, "parts": list(parts), "validation": validation}
    with held_interrupts():
        write_parts(folder, stamp, parts)
        write_tensors(folder / WEIGHTS, tensors, {"agent": notes})
        remove_other_parts(folder, stamp)


def _parts(model: BaseAlgorithm, replay: bool, novelty: NormalizedBonus | None) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    if replay and isinstance(model, OffPolicyAlgorithm):
        parts["replay"] = replay_part(model)
    if novelty is not None:
        parts["novelty"] = novelty.state_dict(), {"count": novelty.count}
    return parts


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the name of a tensor that holds NaN or infinity, None if there is none."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)


def read_agent(folder: Path) -> tuple[AgentConfig, dict[str, torch.Tensor], dict[str, Any]]:
    """Read the config, the tensors and the notes of an agent, ``timesteps`` among them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, written by something else, or of another format.
    """
    if not (folder / WEIGHTS).exists():
        raise FileNotFoundError(f"no agent at {folder}: it has no {WEIGHTS}")
    tensors, notes = read_tensors(folder / WEIGHTS, "agent")
    if notes["format"] < OLDEST:
        raise ValueError(f"{folder} was written by latentrl 0.2 or older: train it again")
    if notes["format"] > FORMAT:
        raise ValueError(
            f"{folder} has agent format {notes['format']}, this version reads up to {FORMAT}: "
            "update latentrl"
        )
    if name := not_finite(tensors):
        raise ValueError(f"{folder} holds NaN or infinity in {name}: use another checkpoint")
    return AgentConfig.from_json(notes["config"]), tensors, notes


def restore(
    folder: Path,
    model: BaseAlgorithm,
    venv: VecNormalize,
    *,
    replay: bool = True,
    novelty: NormalizedBonus | None = None,
) -> None:
    """Load what ``save_agent`` wrote into a freshly built algorithm and its wrapper.

    Args:
        folder: folder of the checkpoint.
        model: the algorithm; with as many environments as it was saved with, where the buffer is
            loaded.
        venv: its normalizing wrapper.
        replay: whether to load the replay buffer, too, where there is one.
        novelty: freshly built bonus whose state is loaded, too.
    """
    config, tensors, notes = read_agent(folder)
    _load_model_tensors(model, tensors)
    _load_statistics(venv, tensors)
    for name, attribute in _attributes(config).items():
        setattr(model, attribute, notes[name])
    if replay and isinstance(model, OffPolicyAlgorithm) and has_part(folder, notes, "replay"):
        load_replay(model, *read_part(folder, notes, "replay"))
    if novelty is not None:
        novelty.load_state_dict(read_part(folder, notes, "novelty")[0])


def _attributes(config: AgentConfig) -> dict[str, str]:
    return {**COUNTERS, **{name: name for name in find_algorithm(config.algo).extra_state}}


def _model_tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
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


def _load_model_tensors(model: BaseAlgorithm, tensors: Mapping[str, torch.Tensor]) -> None:
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


def _statistics(venv: VecNormalize) -> dict[str, torch.Tensor]:
    return {
        f"normalize.{target}.{field}": torch.as_tensor(np.asarray(getattr(rms, field), np.float64))
        for target, rms in _running_statistics(venv).items()
        for field in ("mean", "var", "count")
    }


def _load_statistics(venv: VecNormalize, tensors: Mapping[str, torch.Tensor]) -> None:
    for target, rms in _running_statistics(venv).items():
        fields = _below(tensors, f"normalize.{target}.")
        rms.mean = fields["mean"].numpy().copy()
        rms.var = fields["var"].numpy().copy()
        rms.count = fields["count"].item()
