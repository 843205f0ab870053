"""Baselines that a learned encoder should beat."""

from __future__ import annotations

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import MODELS, POINT, ModelOptions, Part, Space, build
from latentrl.models.preprocessing import Preprocessing


@MODELS.register("pca")
def pca(
    space: Space, latent_dim: int = 32, preprocessing: Preprocessing = Preprocessing()
) -> Autoencoder:
    """Principal components of the preprocessed observations, in the format of every other model.

    ``fit`` solves it in a few passes over the frames.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: number of components.
        preprocessing: crop, size and greyscale of images.
    """
    own = {"backbone": {"name": "linear"}, "head": POINT, "training": "pca"}
    return build("pca", space, latent_dim, {"preprocessing": preprocessing}, **own)


@MODELS.register("random")
def random(
    space: Space,
    latent_dim: int = 32,
    backbone: Part | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """A frozen encoder with random weights, and no decoder.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        backbone: name or spec of the encoder; None chooses by the observation's shape.
        preprocessing: crop, size and greyscale of images.
    """
    own = {"head": POINT, "training": "none"}
    options: ModelOptions = {"backbone": backbone, "preprocessing": preprocessing}
    return build("random", space, latent_dim, options, **own)
