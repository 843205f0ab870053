"""The replay buffer of an off-policy algorithm as a part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents.parts import Part

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
    """Load what ``replay_part`` returned."""
    buffer = model.replay_buffer
    assert buffer is not None
    for name, tensor in tensors.items():
        getattr(buffer, name)[: len(tensor)] = tensor.numpy()
    buffer.pos = notes["position"]
    buffer.full = notes["full"]
    if buffer.size():
        # The resumed run starts new episodes, so those that were under way end here by truncation:
        # an n-step return must not run into the next episode.
        newest = buffer.pos - 1
        buffer.timeouts[newest] = np.maximum(buffer.timeouts[newest], 1 - buffer.dones[newest])
