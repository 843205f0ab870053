"""Agents on disk: safetensors and JSON, never a pickle, so that loading one runs no code."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize
from torch.overrides import TorchFunctionMode

from agents.algorithms import check_actions, find_algorithm
from agents.algorithms.hyperparameters import constructor_arguments
from agents.clipped_actions import expect_clipped
from agents.config import AgentConfig
from agents.good_episodes import GoodEpisodes
from agents.model_state import (
    OPTIMIZER,
    check_tensors,
    load_model_tensors,
    load_statistics,
    model_tensors,
    statistics,
)
from agents.parts import (
    Part,
    check_stamp,
    has_part,
    read_part,
    remove_other_parts,
    write_parts,
)
from agents.replay import load_replay, replay_part
from agents.venv import layout_of
from latentrl.novelty import NormalizedBonus
from latentrl.utils.decoding import Between, decode
from latentrl.utils.io import name_not_finite, read_tensors, write_tensors
from latentrl.utils.signals import held_interrupts

FORMAT = 3
"""Format that is written. Format 2 has no stamp: its parts are files without one in their names."""
OLDEST = 2
WEIGHTS = "agent.safetensors"
NOT_BUILT = (
    *(TypeError, ValueError, AssertionError, AttributeError, LookupError),
    *(ArithmeticError, MemoryError, RuntimeError),
)
"""What constructors raise for values of a wrong kind or size."""
SMALL = 2**20
"""Values that a policy may have beside its weights."""
Count = Annotated[float, Between(0, 2**53)]
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
    spec = find_algorithm(config.algo)
    try:
        model = spec.cls(spec.policy(config.latent), venv, seed=seed, device=device, **arguments)
    except NOT_BUILT as error:
        raise ValueError(
            f"{config.algo} cannot be built: {error}; its hyperparameters are "
            f"{dict(config.hyperparameters)}"
        ) from error
    expect_clipped(model, config.scaled_actions)
    spec.adapt(model)
    return model


def build_saved(
    folder: Path, config: AgentConfig, venv: VecNormalize, seed: int = 0, device: str = "auto"
) -> BaseAlgorithm:
    """Build an algorithm as ``build`` does, to be restored from ``folder``.

    Raises:
        ValueError: as in ``build``, the agent takes other actions than those of ``venv``, or the
            policy would have more weights than the file, which is refused before it takes memory.
    """
    _, tensors, notes = read_agent(folder)
    actions, expected = str(venv.action_space), notes.get("action_space")
    if expected not in (None, actions):
        raise ValueError(
            f"the agent takes actions of {expected}, {config.environment.id} has {actions}: it "
            "needs an environment with the same spaces"
        )
    saved = sum(value.numel() for name, value in tensors.items() if name.startswith("weights."))
    with _AtMost(saved, str(folder / WEIGHTS)):
        return build(config, venv, seed, device)


class _AtMost(TorchFunctionMode):
    """Refuses to make more weights than a file has."""

    def __init__(self, values: int, where: str) -> None:
        super().__init__()
        self.left, self.where = values + SMALL, where

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.empty, torch.zeros, torch.ones):
            # Layers give their sizes in one tuple, or one by one.
            sizes = args[0] if args and isinstance(args[0], tuple | list) else args
            self.left -= math.prod(size for size in sizes if isinstance(size, int))
            if self.left < 0:
                raise ValueError(f"the policy has more weights than {self.where}")
        return func(*args, **(kwargs or {}))


def save_agent(
    folder: Path,
    config: AgentConfig,
    model: BaseAlgorithm,
    venv: VecNormalize,
    *,
    replay: bool = False,
    novelty: NormalizedBonus | None = None,
    episodes: GoodEpisodes | None = None,
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
        episodes: good episodes that are written, too.
        validation: result of this agent's validation, in JSON.

    Raises:
        FloatingPointError: a tensor is not finite; the old checkpoint stays.
    """
    tensors = model_tensors(model) | statistics(venv)
    if name := name_not_finite(tensors):
        raise FloatingPointError(f"{name} holds NaN or infinity: nothing is written to {folder}")
    parts = _parts(model, replay, novelty, episodes)
    stamp = uuid.uuid4().hex
    state = {name: getattr(model, attribute) for name, attribute in _attributes(config).items()}
    notes = {"format": FORMAT, "config": config.to_json(), **state}
    notes |= {"stamp": stamp, "parts": list(parts), "validation": validation}
    notes["action_space"] = str(venv.action_space)
    with held_interrupts():
        write_parts(folder, stamp, parts)
        write_tensors(folder / WEIGHTS, tensors, {"agent": notes})
        remove_other_parts(folder, stamp)


def copy_agent(folder: Path, out: Path) -> None:
    """Copy the agent in ``folder`` without its optimizers and parts: it cannot be resumed.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: its file is damaged.
    """
    _, tensors, notes = read_agent(folder)
    kept = {name: value for name, value in tensors.items() if not name.startswith(OPTIMIZER)}
    write_tensors(out / WEIGHTS, kept, {"agent": {**notes, "parts": []}})


def _parts(
    model: BaseAlgorithm,
    replay: bool,
    novelty: NormalizedBonus | None,
    episodes: GoodEpisodes | None,
) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    if replay and isinstance(model, OffPolicyAlgorithm):
        parts["replay"] = replay_part(model)
    if novelty is not None:
        parts["novelty"] = novelty.state_dict(), {"count": novelty.count}
    if episodes is not None:
        parts["good_episodes"] = episodes.part()
    return parts


def read_agent(folder: Path) -> tuple[AgentConfig, dict[str, torch.Tensor], dict[str, Any]]:
    """Read the config, the tensors and the notes of an agent, ``timesteps`` among them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, edited, written by something else, of another format, or
            holds weights that are not finite.
    """
    file = folder / WEIGHTS
    if not file.exists():
        raise FileNotFoundError(f"no agent at {folder}: it has no {WEIGHTS}")
    tensors, notes = read_tensors(file, "agent")
    notes = decode(dict[str, Any], notes, f"the header of {file}")
    _check_format(folder, decode(int, notes.get("format"), f"format in {file}"))
    _check_finite(tensors, folder)
    try:
        config = AgentConfig.from_json(decode(dict[str, Any], notes.get("config"), "its config"))
        check_stamp(notes)
        for name in _attributes(config):
            decode(Count, notes.get(name), name)
    except ValueError as error:
        raise ValueError(f"{file} describes no agent: {error}") from error
    return config, tensors, notes


def _check_finite(tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    try:
        name = name_not_finite(tensors)
    except NotImplementedError as error:  # PyTorch does little with numbers of 8 bits
        raise ValueError(f"{folder} holds numbers of a kind that no agent has: {error}") from error
    if name is not None:
        raise ValueError(f"{folder} holds NaN or infinity in {name}: use another checkpoint")


def _check_format(folder: Path, version: int) -> None:
    if version < OLDEST:
        raise ValueError(f"{folder} was written by latentrl 0.2 or older: train it again")
    if version > FORMAT:
        raise ValueError(
            f"{folder} has agent format {version}, this version reads up to {FORMAT}: "
            "update latentrl"
        )


def restore(
    folder: Path,
    model: BaseAlgorithm,
    venv: VecNormalize,
    *,
    replay: bool = True,
    novelty: NormalizedBonus | None = None,
    episodes: GoodEpisodes | None = None,
) -> None:
    """Load what ``save_agent`` wrote into a freshly built algorithm and its wrapper.

    Args:
        folder: folder of the checkpoint.
        model: the algorithm; with as many environments as it was saved with, where the buffer is
            loaded.
        venv: its normalizing wrapper.
        replay: whether to load the replay buffer, too, where there is one.
        novelty: freshly built bonus whose state is loaded, too.
        episodes: good episodes that are loaded, too, where there are any.

    Raises:
        FileNotFoundError: a part is missing.
        ValueError: a file is damaged, of another checkpoint, or does not fit the algorithm.
    """
    config, tensors, notes = read_agent(folder)
    check_tensors(tensors, model, venv, str(folder / WEIGHTS))
    load_model_tensors(model, tensors)
    load_statistics(venv, tensors)
    for name, attribute in _attributes(config).items():
        setattr(model, attribute, notes[name])
    if replay and isinstance(model, OffPolicyAlgorithm) and has_part(folder, notes, "replay"):
        load_replay(model, *read_part(folder, notes, "replay"))
    if episodes is not None and has_part(folder, notes, "good_episodes"):
        episodes.load(*read_part(folder, notes, "good_episodes"))
    if novelty is not None:
        state = read_part(folder, notes, "novelty")[0]
        try:
            novelty.load_state_dict(state)
        except NOT_BUILT as error:
            raise ValueError(
                f"the bonus in {folder} does not fit {novelty.bonus.name}: {error}"
            ) from error


def _attributes(config: AgentConfig) -> dict[str, str]:
    return {**COUNTERS, **{name: name for name in find_algorithm(config.algo).extra_state}}
