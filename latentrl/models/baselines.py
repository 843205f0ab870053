"""What a learned encoder should beat."""

from __future__ import annotations

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import MODELS, POINT, Space, build
from latentrl.models.config import Spec
from latentrl.models.preprocessing import Preprocessing


@MODELS.register("pca")
def pca(
    space: Space, latent_dim: int = 32, preprocessing: Preprocessing = Preprocessing()
) -> Autoencoder:
    """Principal components of the preprocessed observations, in the format of every other model.

    The baseline that a learned encoder should beat. ``fit`` solves it in a few passes.
    """
    backbone = {"name": "linear"}
    return build(
        "pca",
        space,
        latent_dim,
        backbone=backbone,
        preprocessing=preprocessing,
        head=POINT,
        training="pca",
    )


@MODELS.register("random")
def random(
    space: Space,
    latent_dim: int = 32,
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """A frozen encoder with random weights, and no decoder: the other baseline to beat."""
    return build(
        "random",
        space,
        latent_dim,
        backbone=backbone,
        preprocessing=preprocessing,
        head=POINT,
        training="none",
    )
