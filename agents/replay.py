"""The replay buffer of an off-policy algorithm as a part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents.parts import Part
from latentrl.utils.decoding import Between, decode

ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def replay_part(model: OffPolicyAlgorithm) -> Part:
    """Return the filled rows of the buffer, and where it is written next."""
    buffer = model.replay_buffer
    assert buffer is not None
    # A buffer that shares observations between steps has the newest next observation one row on.
    filled = buffer.buffer_size if buffer.full else buffer.pos + int(buffer.optimize_memory_usage)
    arrays = {
        name: torch.from_numpy(getattr(buffer, name)[:filled])
        for name in ARRAYS
        if hasattr(buffer, name)
    }
    return arrays, {"position": buffer.pos, "full": bool(buffer.full)}


def load_replay(
    model: OffPolicyAlgorithm, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]
) -> None:
    """Load what ``replay_part`` returned.

    Raises:
        ValueError: the arrays or the notes do not fit the algorithm's buffer, or a reward is NaN or
            infinite.
    """
    buffer = model.replay_buffer
    assert buffer is not None
    _check(buffer, tensors, notes)
    for name, tensor in tensors.items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()
    buffer.pos = notes["position"]
    buffer.full = notes["full"]
    if buffer.size():
        # The resumed run starts new episodes, so those that were under way end here by truncation:
        # an n-step return must not run into the next episode.
        newest = buffer.pos - 1
        buffer.timeouts[newest] = np.maximum(buffer.timeouts[newest], 1 - buffer.dones[newest])


def _check(
    buffer: ReplayBuffer, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]
) -> None:
    names = {name for name in ARRAYS if hasattr(buffer, name)}
    if tensors.keys() != names:
        raise ValueError(f"a replay buffer has {sorted(names)}, the file has {sorted(tensors)}")
    full = decode(bool, notes.get("full"), "'full' of a replay buffer")
    end = buffer.buffer_size - 1
    position = decode(Annotated[int, Between(0, end)], notes.get("position"), "its position")
    shared = int(buffer.optimize_memory_usage)
    filled = buffer.buffer_size if full else position + shared
    for name in sorted(names):
        array, wanted = tensors[name].numpy(), getattr(buffer, name)
        if array.shape != (filled, *wanted.shape[1:]) or array.dtype != wanted.dtype:
            raise ValueError(
                f"{name} of the replay buffer is {array.shape} {array.dtype}, the algorithm needs "
                f"{(filled, *wanted.shape[1:])} {wanted.dtype}: resume it with its own flags"
            )
    if not tensors["rewards"].isfinite().all():
        raise ValueError("the replay buffer holds rewards that are NaN or infinite: train again")
