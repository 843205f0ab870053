"""Agents on disk: safetensors and JSON, never a pickle, so that loading one runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from agents.algorithms.base import ALGORITHMS
from agents.config import AgentConfig
from latentrl.utils.io import read_tensors, write_tensors

FORMAT = 1
WEIGHTS = "agent.safetensors"
REPLAY = "replay.safetensors"
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
NOT_ARGUMENTS = ("n_envs", "timesteps", "normalise_codes")


def build(
    config: AgentConfig, venv: VecNormalize, seed: int = 0, device: str = "auto"
) -> BaseAlgorithm:
    """Build the algorithm that ``config`` describes, with fresh weights."""
    settings = {key: value for key, value in config.settings.items() if key not in NOT_ARGUMENTS}
    make = ALGORITHMS[config.algo]
    return make(venv, latent=config.latent, seed=seed, device=device, **settings)


def save_agent(
    folder: Path,
    config: AgentConfig,
    model: BaseAlgorithm,
    venv: VecNormalize,
    replay: bool = False,
) -> None:
    """Write weights, optimizer, normalisation and counters to ``folder``, atomically.

    Args:
        folder: where to.
        config: what the agent is.
        model: the algorithm.
        venv: the normalising wrapper it learns in.
        replay: whether to write the replay buffer of an off-policy algorithm, too.
    """
    tensors, groups = _flatten(model.get_parameters())
    tensors |= {
        f"normalise.{key}": torch.as_tensor(value) for key, value in _statistics(venv).items()
    }
    notes = {
        "format": FORMAT,
        "config": config.to_json(),
        "decisions": model.num_timesteps,
        "updates": model._n_updates,
        "calls": getattr(model, "_n_calls", 0),
        "groups": groups,
    }
    write_tensors(folder / WEIGHTS, tensors, {"agent": notes})
    if replay and isinstance(model, OffPolicyAlgorithm):
        _save_replay(folder / REPLAY, model)


def read_agent(folder: Path) -> tuple[AgentConfig, dict[str, torch.Tensor], dict[str, Any]]:
    """Read the config, the tensors and the notes of an agent.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, foreign or of a newer format.
    """
    if not (folder / WEIGHTS).exists():
        raise FileNotFoundError(f"no agent at {folder}: it has no {WEIGHTS}")
    tensors, notes = read_tensors(folder / WEIGHTS, "agent")
    if notes["format"] > FORMAT:
        raise ValueError(
            f"{folder} has agent format {notes['format']}, this version reads up to {FORMAT}: update latentrl"
        )
    return AgentConfig.from_json(notes["config"]), tensors, notes


def restore(folder: Path, model: BaseAlgorithm, venv: VecNormalize, replay: bool = True) -> None:
    """Load what ``save_agent`` wrote into a freshly built algorithm and its wrapper.

    Args:
        folder: where it is.
        model: the algorithm; with as many environments as it was saved with, where the buffer is
            loaded.
        venv: its normalising wrapper.
        replay: whether to load the replay buffer, too, where there is one.
    """
    _, tensors, notes = read_agent(folder)
    model.set_parameters(_unflatten(tensors, notes["groups"]), device=model.device)
    _set_statistics(venv, tensors)
    model.num_timesteps, model._n_updates = notes["decisions"], notes["updates"]
    if isinstance(model, DQN):
        model._n_calls = notes["calls"]
    if replay and isinstance(model, OffPolicyAlgorithm) and (folder / REPLAY).exists():
        _load_replay(folder / REPLAY, model)


def _flatten(
    parameters: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors: dict[str, torch.Tensor] = {}
    groups: dict[str, Any] = {}
    for name, state in parameters.items():
        if "param_groups" not in state:
            # Copies: SB3's image policies list one and the same tensor under three names.
            tensors |= {f"weights.{name}/{key}": value.clone() for key, value in state.items()}
            continue
        groups[name] = [
            {key: value for key, value in group.items() if _is_plain(value)}
            for group in state["param_groups"]
        ]
        for index, moments in state["state"].items():
            tensors |= {f"optimizer.{name}/{index}/{key}": value for key, value in moments.items()}
    return tensors, groups


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple)


def _unflatten(tensors: Mapping[str, torch.Tensor], groups: Mapping[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        name: {"state": {}, "param_groups": value} for name, value in groups.items()
    }
    for key, value in tensors.items():
        kind, _, path = key.partition(".")
        if kind == "weights":
            name, parameter = path.split("/")
            parameters.setdefault(name, {})[parameter] = value
        elif kind == "optimizer":
            name, index, moment = path.split("/")
            parameters[name]["state"].setdefault(int(index), {})[moment] = value
    return parameters


def _statistics(venv: VecNormalize) -> dict[str, Any]:
    statistics = {f"returns.{key}": value for key, value in _rms(venv.ret_rms).items()}
    if venv.norm_obs and isinstance(venv.obs_rms, RunningMeanStd):
        statistics |= {f"codes.{key}": value for key, value in _rms(venv.obs_rms).items()}
    return statistics


def _rms(rms: RunningMeanStd) -> dict[str, Any]:
    return {key: np.asarray(getattr(rms, key), np.float64) for key in ("mean", "var", "count")}


def _set_statistics(venv: VecNormalize, tensors: Mapping[str, torch.Tensor]) -> None:
    targets = {"returns": venv.ret_rms, "codes": getattr(venv, "obs_rms", None)}
    for key, value in tensors.items():
        if key.startswith("normalise."):
            _, target, field = key.split(".")
            array = value.numpy()
            setattr(targets[target], field, float(array) if field == "count" else array.copy())


def _save_replay(file: Path, model: OffPolicyAlgorithm) -> None:
    buffer = model.replay_buffer
    assert buffer is not None
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: torch.from_numpy(getattr(buffer, name)[:filled]) for name in REPLAY_ARRAYS}
    write_tensors(file, arrays, {"replay": {"position": buffer.pos, "full": bool(buffer.full)}})


def _load_replay(file: Path, model: OffPolicyAlgorithm) -> None:
    buffer = model.replay_buffer
    assert buffer is not None
    tensors, notes = read_tensors(file, "replay")
    for name, tensor in tensors.items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()
    buffer.pos, buffer.full = notes["position"], notes["full"]
    if buffer.size():
        newest = buffer.pos - 1
        # The episodes that were under way are not gone on with: a return over n steps must not run
        # into the next ones.
        buffer.timeouts[newest] = np.maximum(buffer.timeouts[newest], 1 - buffer.dones[newest])
