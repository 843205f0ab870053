"""One function per published model."""

from __future__ import annotations

from typing import Any

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.baselines import pca, random
from latentrl.models.builder import MODELS, ModelOptions, Space
from latentrl.models.deterministic import (
    ae,
    binary_ae,
    contractive_ae,
    denoising_ae,
    inpainting_ae,
    psd_ae,
    sparse_ae,
)
from latentrl.models.losses import perceptual  # registers "features", which needs Autoencoder
from latentrl.models.quantised import fsq_ae, qlae
from latentrl.models.variational import beta_tcvae, beta_vae, dae_beta_vae, dip_vae, factor_vae, vae

__all__ = [
    "MODELS",
    "Autoencoder",
    "ModelOptions",
    "ae",
    "beta_tcvae",
    "beta_vae",
    "binary_ae",
    "contractive_ae",
    "dae_beta_vae",
    "denoising_ae",
    "dip_vae",
    "factor_vae",
    "fsq_ae",
    "inpainting_ae",
    "make",
    "pca",
    "perceptual",
    "psd_ae",
    "qlae",
    "random",
    "sparse_ae",
    "vae",
]


def make(name: str, space: Space, **options: Any) -> Autoencoder:
    """Build the model called ``name``; options that are None keep the model's own default.

    Raises:
        ValueError: the name is unknown, or the model takes no such option.
    """
    given = {key: value for key, value in options.items() if value is not None}
    return MODELS.build({"name": name, **given}, space=space)
