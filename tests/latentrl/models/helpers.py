"""Short fits and comparisons that the tests of trained models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder

BACKBONE = {"name": "mlp", "hidden": (16,)}
LINEAR = {"name": "linear"}
SHORT = lrl.FitConfig(epochs=2, batch_size=64, device="cpu", precision="float32", seed=3)


def fit(
    model: Autoencoder, data: Any, steps: int = 300, rate: float = 5e-3, **options: Any
) -> lrl.History:
    config = lrl.FitConfig(
        steps=steps, learning_rate=rate, batch_size=64, device="cpu", precision="float32"
    )
    return lrl.fit(model, data, config, progress=False, **options)


def seeded(make: Callable[..., Autoencoder], *arguments: Any, **options: Any) -> Autoencoder:
    torch.manual_seed(0)
    return make(*arguments, **options)


def scaled(model: Autoencoder, data: Any) -> Tensor:
    return model.preprocess(torch.from_numpy(data))


def first_linear(network: nn.Module) -> nn.Linear:
    return next(module for module in network.modules() if isinstance(module, nn.Linear))


def same_bits(a: Autoencoder, b: Autoencoder) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
