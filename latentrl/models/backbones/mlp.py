"""Fully connected backbone for vectors, or anything flattened."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from latentrl.models.backbones.base import BACKBONES, Backbone, Shape, dense
from latentrl.utils.decoding import Layers


@BACKBONES.register("mlp")
@dataclass(frozen=True)
class MLP(Backbone):
    """Fully connected layers with ReLU."""

    hidden: Layers = (256, 256)
    """Units of the encoder's hidden layers; the decoder has them in reverse order."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return the layers from the flattened input to ``outputs``."""
        return nn.Sequential(nn.Flatten(), dense((math.prod(shape), *self.hidden, outputs)))

    def decoder(self, latent_dim: int, shape: Shape) -> nn.Module:
        """Return the layers from the latent to an output of ``shape``."""
        layers = dense((latent_dim, *reversed(self.hidden), math.prod(shape)))
        return nn.Sequential(layers, nn.Unflatten(1, shape))
