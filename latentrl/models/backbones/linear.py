"""Backbones with a decoder of one layer: linear maps, dictionaries, sigmoid layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.backbones.base import BACKBONES, Backbone, Shape, default_backbone


@BACKBONES.register("linear")
@dataclass(frozen=True)
class Linear(Backbone):
    """One affine map each way: what PCA computes, and what a linear autoencoder learns."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the affine map from the flattened input."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the affine map to an output of ``shape``."""
        return nn.Sequential(nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, shape))


@BACKBONES.register("dictionary")
@dataclass(frozen=True)
class Dictionary(Backbone):
    """A deep encoder and a linear decoder, whose columns are the atoms of a dictionary."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the encoder of the default backbone for ``shape``."""
        return BACKBONES.build(default_backbone(shape)).encoder(shape, outputs)

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the affine map to an output of ``shape``."""
        return Linear().decoder(latent_dim, shape)


@BACKBONES.register("sigmoid")
@dataclass(frozen=True)
class Sigmoid(Backbone):
    """One sigmoid layer and one affine map back: the network of Rifai et al. 2011 (ICML)."""

    tied: bool = False
    """Whether the decoder's weights are the transpose of the encoder's."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the layer, whose Jacobian has a closed form."""
        return SigmoidLayer(math.prod(shape), outputs)

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return an affine map to an output of ``shape``."""
        if self.tied:
            return TransposedLayer(shape)
        return Linear().decoder(latent_dim, shape)

    def tie(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Give the encoder's layer to the decoder where weights are tied.

        Raises:
            ValueError: the likelihood needs more than one output per value.
        """
        if isinstance(encoder, SigmoidLayer) and isinstance(decoder, TransposedLayer):
            if encoder.linear.in_features != math.prod(decoder.shape):
                raise ValueError(
                    "tied weights give one output for each value: use likelihood 'gaussian' or "
                    "'bernoulli'"
                )
            decoder.other = (encoder.linear,)


class SigmoidLayer(nn.Module):
    """sigmoid(W x + b) of the flattened input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build the layer with fresh weights."""
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, *shape)`` to ``(B, outputs)`` in (0, 1)."""
        return torch.sigmoid(self.linear(x.flatten(1)))

    def squared_jacobian(self, x: Tensor) -> Tensor:
        """Return the squared norm of each output's gradient by ``x``, ``(B, outputs)``."""
        # dh_j / dx = h_j (1 - h_j) W_j, so that no gradient is needed (Rifai et al. 2011).
        h = self(x)
        slopes: Tensor = (h * (1 - h)).square()
        return slopes * self.linear.weight.square().sum(1)


class TransposedLayer(nn.Module):
    """W' h + c, with the W of another layer."""

    def __init__(self, shape: Shape) -> None:
        """Build the offset; ``Sigmoid.tie`` sets the weights."""
        super().__init__()
        self.shape = shape
        # A tuple is no submodule, so that state_dict holds the shared weights once.
        self.other: tuple[nn.Linear, ...] = ()
        self.bias = nn.Parameter(torch.zeros(math.prod(shape)))

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(B, latent_dim)`` to ``(B, *shape)``."""
        # A Gaussian head has two outputs per latent; the first rows are those of the means.
        weight = self.other[0].weight[: h.shape[1]]
        return F.linear(h, weight.T, self.bias).view(-1, *self.shape)
