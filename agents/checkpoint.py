"""Agents on disk: safetensors and JSON, never a pickle, so that loading one runs no code."""

from __future__ import annotations

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
from agents.venv import layout_of
from latentrl.training.optimizer_state import load_optimizer_tensors, optimizer_tensors
from latentrl.utils.io import read_tensors, write_tensors

FORMAT = 2
WEIGHTS = "agent.safetensors"
REPLAY = "replay.safetensors"
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
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
    replay: bool = False,
) -> None:
    """Write weights, optimizers, normalization and counters to ``folder``, atomically.

    Args:
        folder: folder of the checkpoint.
        config: the agent.
        model: the algorithm.
        venv: the normalizing wrapper that it learns in.
        replay: whether to write the replay buffer of an off-policy algorithm, too.
    """
    tensors = _model_tensors(model) | _statistics(venv)
    state = {name: getattr(model, attribute) for name, attribute in _attributes(config).items()}
    notes = {"format": FORMAT, "config": config.to_json(), **state}
    write_tensors(folder / WEIGHTS, tensors, {"agent": notes})
    if replay and isinstance(model, OffPolicyAlgorithm):
        _save_replay(folder / REPLAY, model)


def read_agent(folder: Path) -> tuple[AgentConfig, dict[str, torch.Tensor], dict[str, Any]]:
    """Read the config, the tensors and the notes of an agent, ``timesteps`` among them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, written by something else, or of another format.
    """
    if not (folder / WEIGHTS).exists():
        raise FileNotFoundError(f"no agent at {folder}: it has no {WEIGHTS}")
    tensors, notes = read_tensors(folder / WEIGHTS, "agent")
    if notes["format"] < FORMAT:
        raise ValueError(f"{folder} was written by latentrl 0.2 or older: train it again")
    if notes["format"] > FORMAT:
        raise ValueError(
            f"{folder} has agent format {notes['format']}, this version reads up to {FORMAT}: "
            "update latentrl"
        )
    return AgentConfig.from_json(notes["config"]), tensors, notes


def restore(folder: Path, model: BaseAlgorithm, venv: VecNormalize, replay: bool = True) -> None:
    """Load what ``save_agent`` wrote into a freshly built algorithm and its wrapper.

    Args:
        folder: folder of the checkpoint.
        model: the algorithm; with as many environments as it was saved with, where the buffer is
            loaded.
        venv: its normalizing wrapper.
        replay: whether to load the replay buffer, too, where there is one.
    """
    config, tensors, notes = read_agent(folder)
    _load_model_tensors(model, tensors)
    _load_statistics(venv, tensors)
    for name, attribute in _attributes(config).items():
        setattr(model, attribute, notes[name])
    if replay and isinstance(model, OffPolicyAlgorithm) and (folder / REPLAY).exists():
        _load_replay(folder / REPLAY, model)


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


def _save_replay(file: Path, model: OffPolicyAlgorithm) -> None:
    buffer = model.replay_buffer
    assert buffer is not None
    # A buffer that shares observations between steps has the newest next observation one row on.
    filled = buffer.buffer_size if buffer.full else buffer.pos + int(buffer.optimize_memory_usage)
    arrays = {
        name: torch.from_numpy(getattr(buffer, name)[:filled])
        for name in REPLAY_ARRAYS
        if hasattr(buffer, name)
    }
    write_tensors(file, arrays, {"replay": {"position": buffer.pos, "full": bool(buffer.full)}})


def _load_replay(file: Path, model: OffPolicyAlgorithm) -> None:
    buffer = model.replay_buffer
    assert buffer is not None
    tensors, notes = read_tensors(file, "replay")
    for name, tensor in tensors.items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()
    buffer.pos = notes["position"]
    buffer.full = notes["full"]
    if buffer.size():
        # The resumed run starts new episodes, so those that were under way end here by truncation:
        # an n-step return must not run into the next episode.
        newest = buffer.pos - 1
        buffer.timeouts[newest] = np.maximum(buffer.timeouts[newest], 1 - buffer.dones[newest])
