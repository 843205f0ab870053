"""The device that tensors are put on."""

from __future__ import annotations

import torch


def pick_device(device: str = "auto") -> torch.device:
    """Return the device called ``device``; "auto" is the GPU where there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here; try 'auto' or 'cpu'") from error
    return torch.device(device)
