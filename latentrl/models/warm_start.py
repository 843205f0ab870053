"""General-purpose weights: initial weights of models with a latent grid, for any images."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Size, Tensor

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.likelihoods import GaussianLikelihood
from latentrl.utils.io import read_tensors

FILE = Path(__file__).parent / "weights" / "spatial.safetensors"
NOTE = "general_weights"
"""Note in the header of the file, with the command that wrote it."""
NETWORKS = ("encoder.", "decoder.")
SUPPORTED = (4, 8)
"""Values per cell of the models that the weights suit: the first ones of a cell suffice."""
MOST_CHANNELS = max(SUPPORTED)


def warm_start(model: Autoencoder) -> None:
    """Replace the fresh weights of a model by general-purpose ones, before ``fit``.

    They were learned from random shapes that move over random backgrounds, without any environment,
    after Baradad et al. 2021 (arXiv:2106.05963). A model that starts from them needs about a third
    of the gradient steps:

        model = lrl.beta_vae(frames.observation_space, **lrl.choose(frames).arguments)
        lrl.warm_start(model)
        lrl.fit(model, frames, lrl.FitConfig(steps=500, batch_size=16, learning_rate=2e-3))

    Raises:
        ValueError: the model has been fitted, or there are no such weights for its networks.
    """
    if model.fitted:
        raise ValueError(
            "this model has been fitted, and would lose what it has learned: warm_start is for new "
            "models, before fit"
        )
    weights = _weights_for(model)
    if weights is None:
        config = model.config
        raise ValueError(
            "general-purpose weights are for models with a Gaussian posterior, backbone 'spatial' "
            "at its defaults, likelihood 'gaussian', grey or colour images whose shorter side has "
            f"56 to 111 pixels, and 4 or 8 values per cell; this {config.model!r} has backbone "
            f"{dict(config.backbone or {})}, likelihood {dict(config.likelihood)}, inputs of shape "
            f"{tuple(model.preprocess.shape)} and {model.latent_dim} values: fit it from its fresh "
            "weights"
        )
    model.load_state_dict(weights, strict=False)


def can_warm_start(model: Autoencoder) -> bool:
    """Return whether there are general-purpose weights for the networks of ``model``."""
    return _weights_for(model) is not None


def networks_of(model: Autoencoder) -> dict[str, Tensor]:
    """Return the parameters of encoder and decoder by name."""
    return {name: p.data for name, p in model.named_parameters() if name.startswith(NETWORKS)}


def _weights_for(model: Autoencoder) -> dict[str, Tensor] | None:
    layout = model.latent_layout
    if not model.variational or not isinstance(model.likelihood, GaussianLikelihood):
        return None
    if layout.grid is None or layout.channels not in SUPPORTED:
        return None
    weights = _stored()
    shapes = {name: tensor.shape for name, tensor in networks_of(model).items()}
    if weights.keys() != shapes.keys():
        return None
    adapted = {name: _adapted(name, weights[name], shapes[name]) for name in shapes}
    return adapted if all(adapted[name].shape == shape for name, shape in shapes.items()) else None


@functools.cache
def _stored() -> dict[str, Tensor]:
    weights, _ = read_tensors(FILE, NOTE)
    return {name: tensor.float() for name, tensor in weights.items()}


def _adapted(name: str, weights: Tensor, shape: Size) -> Tensor:
    """Return weights for the first values of each cell, or for a grey image, where need be."""
    if weights.shape == shape:
        return weights
    if name.startswith("encoder.") and weights.shape[1:] == shape[1:]:
        return torch.cat([part[: shape[0] // 2] for part in weights.chunk(2)])
    if name.startswith("encoder."):
        return weights.sum(1, keepdim=True)  # a grey image is one of three equal colours
    if weights.shape[1:2] == (MOST_CHANNELS,):
        return weights[:, : shape[1]]
    return weights.mean(weights.ndim // 4, keepdim=True)  # of colours: the bias has one axis
