"""The optimizer of a model, one gradient step, and its state as named tensors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from latentrl.models.autoencoder import Autoencoder

PREFIX = "optimizer."


def adamw(model: Autoencoder, learning_rate: float) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over all trainable parameters.

    The weights of encoder and decoder decay by ``model.config.weight_decay``; biases, a codebook, a
    learned sigma and the weights of losses do not, as in QLAE (Hsu et al. 2023, arXiv:2305.18378).
    With a decay of 0 it is Adam, to the last bit.

    Args:
        model: the model to train.
        learning_rate: learning rate of the first step.
    """
    decay = model.config.weight_decay
    networks = [model.encoder, model.require_decoder()] if decay else []
    weights = {p for network in networks for p in network.parameters() if p.ndim > 1}
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p in weights], "weight_decay": decay},
        # Without decay all parameters are here, in the model's order, which the norm of the
        # gradient depends on in its last bits.
        {"params": [p for p in trainable if p not in weights], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, learning_rate, fused=True)


def gradient_step(
    loss: Tensor, optimizer: torch.optim.Optimizer, clip: float | None = None
) -> None:
    """Change the parameters by one step down the gradient of ``loss``.

    Args:
        loss: a scalar.
        optimizer: optimizer of the parameters to change.
        clip: largest norm of the gradient over all parameters; None does not clip.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str = PREFIX) -> dict[str, Tensor]:
    """Return copies of the state of each parameter, named ``prefix + index.field``.

    There is none before the first step.
    """
    states = optimizer.state_dict()["state"]
    return {
        f"{prefix}{index}.{name}": value.clone()
        for index, state in states.items()
        for name, value in state.items()
    }


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = PREFIX
) -> None:
    """Restore what ``optimizer_tensors`` returned; tensors with another prefix are ignored.

    Raises:
        ValueError: the tensors are not those of this optimizer's parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states = {key: value for key, value in tensors.items() if key.startswith(prefix)}
    _check(states, parameters, _fields(optimizer), prefix)
    optimizer.state.clear()  # those of no step are empty
    for key, value in states.items():
        index, _, name = key.removeprefix(prefix).partition(".")
        parameter = parameters[int(index)]
        # The fused kernel walks memory, so that a moment needs the device and the memory layout of
        # its parameter; the step counter of the plain kernel stays on the CPU.
        like = parameter if value.shape == parameter.shape else value
        device = parameter.device if _is_fused(optimizer) or like is parameter else value.device
        moment = torch.empty_like(like, dtype=value.dtype, device=device)
        optimizer.state[parameter][name] = moment.copy_(value).detach()


def _fields(optimizer: torch.optim.Optimizer) -> set[str]:
    """Return the names of the fields that one step of this kind of optimizer leaves."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    known = inspect.signature(type(optimizer)).parameters
    options = {name: value for name, value in optimizer.defaults.items() if name in known}
    tried = type(optimizer)([parameter], **options)
    tried.step()
    return set(tried.state[parameter])


def _check(
    states: Mapping[str, Tensor], parameters: Sequence[Tensor], fields: set[str], prefix: str
) -> None:
    expected = {
        f"{prefix}{index}.{field}": parameter
        for index, parameter in enumerate(parameters)
        for field in fields
        # A parameter without a gradient has no state; of the others none may lack a field.
        if any(f"{prefix}{index}.{name}" in states for name in fields)
    }
    for key in sorted(states.keys() ^ expected.keys()):
        problem = "lacks" if key in expected else "has a useless"
        raise ValueError(f"the state of the optimizer {problem} {key!r}")
    for key, value in states.items():
        parameter = expected[key]
        # The count of steps is one float32, whatever the parameter is.
        fits = value.shape in (parameter.shape, ())
        if not fits or value.dtype not in (parameter.dtype, torch.float32):
            raise ValueError(
                f"the state of the optimizer has {key!r} of shape {tuple(value.shape)} and type "
                f"{value.dtype}, its parameter has {tuple(parameter.shape)} and {parameter.dtype}"
            )


def _is_fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.param_groups[0].get("fused"))
