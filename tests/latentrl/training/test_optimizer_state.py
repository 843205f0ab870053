"""AdamW by hand, the parameters that decay, and Adam's bits where none does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.optimizer_state import (
    adamw,
    gradient_step,
    load_optimizer_tensors,
    optimizer_tensors,
)

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
MLP = {"name": "mlp", "hidden": (16,)}
LEARNED = {"name": "gaussian", "learned": True}
RATE, DECAY = 1e-2, 0.3


def loss_of(model: Autoencoder, step: int = 0) -> Tensor:
    noise = model.sample_noise(X, torch.Generator().manual_seed(step))
    return torch.stack(list(model.losses(X, *noise, step)[0].values())).sum()


def make(name: str, **options: Any) -> Autoencoder:
    torch.manual_seed(0)
    return lrl.models.make(name, (8,), latent_dim=3, backbone=MLP, likelihood=LEARNED, **options)


def test_weights_of_encoder_and_decoder_decay_and_nothing_else() -> None:
    model = make("qlae", weight_decay=DECAY)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = adamw(model, RATE)
    gradient_step(loss_of(model), optimizer)
    for name, parameter in model.named_parameters():
        decays = name.startswith(("encoder.", "decoder.")) and name.endswith("weight")
        kept = before[name] * (1 - RATE * DECAY) if decays else before[name]
        # The first step of Adam: both moments are unbiased to the gradient and its square.
        step = parameter.grad / (parameter.grad.square().sqrt() + 1e-8)
        torch.testing.assert_close(parameter.detach(), kept - RATE * step)
    names = {name.split(".")[0] for name in before}
    assert names == {"encoder", "decoder", "head", "likelihood"}


def test_without_decay_the_bits_are_those_of_adam() -> None:
    ours, plain = make("factor_vae"), make("factor_vae")
    trainable = [p for p in plain.parameters() if p.requires_grad]
    optimizers = adamw(ours, RATE), torch.optim.Adam(trainable, RATE, fused=True)
    for step in range(10):
        for model, optimizer in zip((ours, plain), optimizers, strict=True):
            gradient_step(loss_of(model, step), optimizer, clip=1.0)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_tied_weights_decay_once() -> None:
    backbone = {"name": "sigmoid", "tied": True}
    model = lrl.qlae((8,), 3, backbone=backbone, weight_decay=DECAY)
    decaying, others = (group["params"] for group in adamw(model, RATE).param_groups)
    assert [p.ndim for p in decaying] == [2]
    assert len(decaying) + len(others) == sum(p.requires_grad for p in model.parameters())


def test_the_state_before_the_first_step_is_restored_too() -> None:
    """An optimizer that is set back takes the same first step again."""
    model = make("beta_vae")
    optimizer = adamw(model, RATE)
    weights, state = model.state_dict(), optimizer_tensors(optimizer)
    weights = {name: value.clone() for name, value in weights.items()}
    firsts = []
    for _ in range(2):
        model.load_state_dict(weights)
        load_optimizer_tensors(optimizer, state)
        gradient_step(loss_of(model), optimizer)
        firsts.append([p.detach().clone() for p in model.parameters()])
        gradient_step(loss_of(model, 1), optimizer)
    assert all(torch.equal(a, b) for a, b in zip(*firsts, strict=True))
