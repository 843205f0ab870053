"""Devices by name."""

from __future__ import annotations

import pytest
import torch

from latentrl.utils.device import pick_device


@pytest.mark.parametrize(("available", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_the_gpu_if_there_is_one(
    available: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device() == torch.device(device)


def test_devices_that_exist_are_returned() -> None:
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["cuda:77", "gpu"])
def test_devices_that_cannot_be_used_are_refused(device: str) -> None:
    with pytest.raises(
        ValueError, match=f"device '{device}' cannot be used here; try 'auto' or 'cpu'"
    ):
        pick_device(device)
