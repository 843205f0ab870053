"""What a backbone provides, their registry, and layers that several of them use."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.utils.registry import Registry

Shape = tuple[int, ...]
"""Shape of one input, without the batch."""
DEFAULTS = {3: "conv", 2: "recurrent", 1: "mlp"}
"""Backbone of images, sequences and vectors, by the number of axes of an input, of a config that
names none. New models of sequences name theirs: files of older ones are recurrent."""


class Backbone(Protocol):
    """Builds encoder and decoder for inputs ``(C, H, W)``, ``(T, D)`` or ``(D,)``.

    A new backbone subclasses this, implements ``encoder`` and ``decoder``, and is registered under
    a name. It raises a ``ValueError`` that contains its name where a shape does not suit it.
    """

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a module that maps ``(B, *shape)`` to ``(B, outputs)``."""

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return a module that maps ``(B, latent_dim)`` to ``(B, *shape)``."""

    def tie(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Share weights between encoder and decoder; most backbones share none."""
        return None  # noqa: RET501 - an empty backbone would make it abstract

    def grid(self, shape: Shape) -> tuple[int, int] | None:
        """Return rows and columns of the latent's grid of cells; None where it is a vector."""
        return None


BACKBONES: Registry[Backbone] = Registry("backbone")
"""Backbones by name."""


def default_backbone(shape: Shape) -> dict[str, str]:
    """Return the spec of the default backbone for inputs of ``shape``."""
    return {"name": DEFAULTS.get(len(shape), "mlp")}


def dense(widths: Sequence[int], activation: nn.Module | None = None) -> nn.Sequential:
    """Return linear layers of these widths with ``activation`` (ReLU) between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), activation or nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class UnitLinear(nn.Linear):
    """A linear layer whose columns have length 1, whatever the length of its weights."""

    @property
    def columns(self) -> Tensor:
        """The normalised columns, ``(outputs, inputs)``."""
        return F.normalize(self.weight, dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs)`` to ``(B, outputs)``."""
        return F.linear(x, self.columns, self.bias)


class Offset(nn.Module):
    """Adds a constant of the data to each input; zero until ``Autoencoder.centre`` sets it."""

    offset: Tensor

    def __init__(self, shape: Shape) -> None:
        """Make the constant for inputs ``(B, *shape)``."""
        super().__init__()
        self.register_buffer("offset", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x + offset``."""
        return x + self.offset


def hold_unit_columns(decoder: nn.Module) -> None:
    """Replace the first linear layer of ``decoder`` by one with columns of length 1.

    Raises:
        ValueError: the decoder has no linear layer.
    """
    # Without it a penalty on the size of the latent has no effect: latents / c and weights * c
    # decode to the same observation, so that the encoder shrinks its outputs at no cost.
    linears = ((n, layer) for n, layer in decoder.named_modules() if isinstance(layer, nn.Linear))
    name, linear = next(linears, ("", None))
    if linear is None:
        raise ValueError(
            "unit_columns needs a decoder that begins with a linear layer, which tied weights are "
            "not; backbones with a latent grid have none"
        )
    unit = UnitLinear(linear.in_features, linear.out_features)
    unit.load_state_dict(linear.state_dict())
    parent, _, child = name.rpartition(".")
    setattr(decoder.get_submodule(parent), child, unit)
