"""Choice of the device for tensors."""

from __future__ import annotations

import torch


def pick_device(device: str = "auto") -> torch.device:
    """Device called ``device``; ``"auto"`` is the GPU if there is one, otherwise the CPU.

    Raises:
        ValueError: the device does not exist or cannot be used.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        # torch.device accepts "cuda:9" on any machine; only an allocation fails.
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here; try 'auto' or 'cpu'") from error
    return torch.device(device)
