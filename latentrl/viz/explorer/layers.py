"""Networks as lists of plain layers, which ``engine.js`` runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.backbones.base import Offset, UnitLinear
from latentrl.models.backbones.linear import SigmoidLayer
from latentrl.models.backbones.spatial import ResidualBlock
from latentrl.models.heads.continuous import Gaussian, Point
from latentrl.models.heads.discrete import FSQ, Binary
from latentrl.models.likelihoods import Bernoulli, DiagonalGaussian, GaussianLikelihood
from latentrl.types import Array

Layer = dict[str, Any]
"""Kind, settings and float32 arrays of one layer."""


class UnsupportedLayer(Exception):
    """A network has a part that the page cannot run; the message names it."""


def decoder_layers(model: Autoencoder) -> list[Layer]:
    """Return the layers from a latent ``(latent_dim,)`` to a scaled image ``(C, h, w)``.

    The values are those of ``model.likelihood.mean``, before the clamp to [0, 1].

    Raises:
        UnsupportedLayer: the page cannot run the decoder.
        TypeError: the model has none.
    """
    layers = layers_of(model.require_decoder())
    likelihood = model.likelihood
    if type(likelihood) is Bernoulli:
        return [*layers, _activation("sigmoid")]
    if type(likelihood) is DiagonalGaussian:
        return [*layers, _slice(model.preprocess.shape[0])]
    if type(likelihood) is GaussianLikelihood:
        return layers
    raise UnsupportedLayer(f"the likelihood {type(likelihood).__name__}")


def encoder_layers(model: Autoencoder) -> list[Layer]:
    """Return the layers from a scaled image ``(C, h, w)`` to a latent ``(latent_dim,)``.

    Raises:
        UnsupportedLayer: the page cannot run the encoder or the head.
    """
    layers = layers_of(model.encoder)
    head = model.head
    if type(head) is Gaussian:
        return [*layers, _slice(model.latent_dim)]
    if type(head) is Point:
        return [*layers, _activation(head.activation)]
    if type(head) is Binary:
        return [*layers, _activation("step")]
    if type(head) is FSQ:
        return [*layers, _activation("tanh"), {"kind": "levels", "count": head.levels}]
    raise UnsupportedLayer(f"the head {type(head).__name__}")


def layers_of(module: nn.Module) -> list[Layer]:
    """Return the layers that compute what ``module`` computes for one input.

    Raises:
        UnsupportedLayer: a submodule is of a class that is not in ``LAYERS``.
    """
    # By the exact class, because a subclass may compute something else.
    describe = LAYERS.get(type(module))
    if describe is None:
        raise UnsupportedLayer(f"the layer {type(module).__name__}")
    return describe(module)


def _sequential(module: nn.Sequential) -> list[Layer]:
    return [layer for child in module for layer in layers_of(child)]


def _linear(module: nn.Linear) -> list[Layer]:
    weight = module.columns if isinstance(module, UnitLinear) else module.weight
    return [{"kind": "linear", "weight": _array(weight), "bias": _bias(module, len(weight))}]


def _conv(module: nn.Conv2d) -> list[Layer]:
    _check_plain(module)
    return [{"kind": "conv", **_sliding(module)}]


def _deconv(module: nn.ConvTranspose2d) -> list[Layer]:
    _check_plain(module)
    return [{"kind": "deconv", **_sliding(module), "extra": list(module.output_padding)}]


def _sliding(module: nn.Conv2d | nn.ConvTranspose2d) -> Layer:
    return {
        "weight": _array(module.weight),
        "bias": _bias(module, module.out_channels),
        "stride": list(module.stride),
        "padding": list(module.padding),
    }


def _check_plain(module: nn.Conv2d | nn.ConvTranspose2d) -> None:
    plain = module.groups == 1 and set(module.dilation) == {1}
    if not plain or module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise UnsupportedLayer(f"a {type(module).__name__} with groups, dilation or named padding")


def _flatten(module: nn.Flatten) -> list[Layer]:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise UnsupportedLayer("a Flatten of some axes")
    return [{"kind": "reshape", "shape": [-1]}]


def _unflatten(module: nn.Unflatten) -> list[Layer]:
    if module.dim != 1:
        raise UnsupportedLayer("an Unflatten of another axis than the first")
    return [{"kind": "reshape", "shape": [int(size) for size in module.unflattened_size]}]


def _gelu(module: nn.GELU) -> list[Layer]:
    if module.approximate != "none":
        raise UnsupportedLayer("an approximate GELU")
    return [_activation("gelu")]


def _sigmoid_layer(module: SigmoidLayer) -> list[Layer]:
    flat: Layer = {"kind": "reshape", "shape": [-1]}
    return [flat, *_linear(module.linear), _activation("sigmoid")]


def _activation(name: str) -> Layer:
    return {"kind": "activation", "name": name}


def _slice(count: int) -> Layer:
    return {"kind": "slice", "count": count}


def _bias(module: Any, outputs: int) -> Array:
    return np.zeros(outputs, np.float32) if module.bias is None else _array(module.bias)


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().float().cpu().numpy()
    return array


LAYERS: dict[type[nn.Module], Callable[[Any], list[Layer]]] = {
    nn.Sequential: _sequential,
    nn.Linear: _linear,
    UnitLinear: _linear,
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _deconv,
    nn.Flatten: _flatten,
    nn.Unflatten: _unflatten,
    nn.Identity: lambda _: [],
    nn.ReLU: lambda _: [_activation("relu")],
    nn.Sigmoid: lambda _: [_activation("sigmoid")],
    nn.Tanh: lambda _: [_activation("tanh")],
    nn.SiLU: lambda _: [_activation("silu")],
    nn.GELU: _gelu,
    Offset: lambda module: [{"kind": "add", "value": _array(module.offset)}],
    ResidualBlock: lambda module: [{"kind": "residual", "layers": layers_of(module.layers)}],
    SigmoidLayer: _sigmoid_layer,
}
"""Description of each class of module as layers."""
