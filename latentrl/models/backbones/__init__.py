"""Encoder and decoder networks: one file per kind, and its line here to register it."""

from latentrl.models.backbones import conv, linear, mlp, recurrent, spatial
from latentrl.models.backbones.base import BACKBONES, Backbone, Shape, default_backbone, dense

__all__ = [
    "BACKBONES",
    "Backbone",
    "Shape",
    "conv",
    "default_backbone",
    "dense",
    "linear",
    "mlp",
    "recurrent",
    "spatial",
]
