"""Initial weights of encoders with a latent grid that suit the images of any environment."""

from __future__ import annotations

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
    """Replace a model's fresh weights by general-purpose ones, from which ``fit`` goes on.

    They were learned from random shapes that move over random backgrounds and from no environment,
    as in Baradad et al. 2021 (arXiv:2106.05963). A model that starts from them needs a third of the
    gradient steps, and keeps objects that its frames rarely show:

        model = lrl.beta_vae(frames.observation_space, **lrl.choose(frames).arguments)
        lrl.warm_start(model)
        lrl.fit(model, frames, lrl.FitConfig(steps=500, batch_size=16, learning_rate=2e-3))

    Raises:
        ValueError: there are no such weights for the model's networks.
    """
    weights = _weights_for(model)
    if weights is None:
        raise ValueError(
            f"there are no general-purpose weights for the networks of this "
            f"{model.config.model!r}: they are for a beta_vae with backbone 'spatial' at its "
            "defaults, the likelihood 'gaussian', grey or colour images of 56 to 111 pixels, and "
            "4 or 8 values per cell; fit it from its fresh weights"
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
    trained = model.variational and model.config.training == "gradient"
    if not trained or layout.grid is None or layout.channels not in SUPPORTED:
        return None
    if not isinstance(model.likelihood, GaussianLikelihood):
        return None
    weights, _ = read_tensors(FILE, NOTE)
    shapes = {name: tensor.shape for name, tensor in networks_of(model).items()}
    if weights.keys() != shapes.keys():
        return None
    adapted = {name: _adapted(name, weights[name].float(), shapes[name]) for name in shapes}
    return adapted if all(adapted[name].shape == shape for name, shape in shapes.items()) else None


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
