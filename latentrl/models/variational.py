"""Autoencoders whose posterior is a normal distribution near N(0, I)."""

from __future__ import annotations

import math
from typing import Literal

from typing_extensions import Unpack

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.backbones import BACKBONES, default_backbone
from latentrl.models.builder import GAUSSIAN, MODELS, ModelOptions, Space, as_spec, build
from latentrl.models.config import Spec
from latentrl.models.deterministic import denoising_ae
from latentrl.models.preprocessing import Preprocessing, make_preprocessor
from latentrl.types import as_space

FEATURES = 100
"""Size of the latent of DARLA's denoising autoencoder, a few less or more on a grid."""
KL_TERM: Spec = {"name": "kl", "beta": 1.0}


@MODELS.register("vae")
def vae(space: Space, latent_dim: int = 32, **options: Unpack[ModelOptions]) -> Autoencoder:
    """Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        **options: ``ModelOptions`` as in ``ae``.
    """
    return build("vae", space, latent_dim, options, head=GAUSSIAN, losses=[KL_TERM])


@MODELS.register("beta_vae")
def beta_vae(
    space: Space,
    latent_dim: int = 32,
    beta: float = 4.0,
    free_bits: float = 0.0,
    capacity: float | None = None,
    gamma: float = 100.0,
    capacity_steps: int = 10_000,
    topk_weight: float = 0.0,
    change_weight: float = 0.0,
    contrast_weight: float = 0.0,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """beta-VAE (Higgins et al. 2017), or its capacity form (Burgess et al. 2018, arXiv:1804.03599).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        beta: weight of the KL divergence in nats, against a reconstruction summed over all values.
        free_bits: nats per dimension without cost (Kingma et al. 2016, arXiv:1606.04934).
        capacity: nats that the KL divergence is held at; replaces ``beta`` by ``gamma * |KL - C|``.
        gamma: weight of the capacity term.
        capacity_steps: gradient steps over which C rises from 0 to ``capacity``.
        topk_weight: additional weight of the 2 % of each observation's values that are
            reconstructed worst: for small objects that a sum over pixels hides.
        change_weight: additional weight of the pixels that changed since the previous observation:
            for small objects that move.
        contrast_weight: weight of a term by which latents separate the moments of an episode, as
            ``TemporalContrast`` describes: for moving objects on which the return depends.
        **options: ``ModelOptions`` as in ``ae``.
    """
    losses: list[Spec] = [{"name": "kl", "beta": beta, "free_bits": free_bits}]
    if capacity is not None:
        schedule = {"capacity": capacity, "steps": capacity_steps}
        losses = [{"name": "capacity", "gamma": gamma, **schedule}]
    if topk_weight:
        losses.append({"name": "topk", "weight": topk_weight})
    if change_weight:
        losses.append({"name": "change", "weight": change_weight})
    if contrast_weight:
        losses.append({"name": "temporal_contrast", "weight": contrast_weight})
    return build("beta_vae", space, latent_dim, options, head=GAUSSIAN, losses=losses)


@MODELS.register("dae_beta_vae")
def dae_beta_vae(
    space: Space,
    latent_dim: int = 32,
    beta: float = 1.0,
    features: Autoencoder | None = None,
    fraction: float = 0.5,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """beta-VAE with its error in the features of a denoising autoencoder: DARLA.

    Higgins et al. 2017 (arXiv:1707.08475). ``fit`` trains the denoising autoencoder first, on
    masked frames, and freezes it. Features are its standardised latents.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        beta: weight of the KL divergence in nats.
        features: a fitted model to copy; None makes a new one of 100 features, or of
            64, say, where the backbone has a grid of 8 by 8 cells.
        fraction: fraction of the positions that are masked when a new one is trained.
        **options: ``ModelOptions`` as in ``ae``. The likelihood is "gaussian", its ``sigma`` in
            standard deviations of a feature; backbone and preprocessing hold for both models.

    Raises:
        ValueError: ``features`` is not fitted or takes other inputs.
    """
    frozen = _denoiser(space, fraction, options) if features is None else features
    reconstruction = {"name": "features", "model": frozen.config.to_json()}
    own = {"head": GAUSSIAN, "losses": [{**KL_TERM, "beta": beta}]}
    model = build("dae_beta_vae", space, latent_dim, options, reconstruction=reconstruction, **own)
    if features is not None:
        model.reconstruction.complete(features)
    return model


def _denoiser(space: Space, fraction: float, options: ModelOptions) -> Autoencoder:
    preprocessing = options.get("preprocessing", Preprocessing())
    shape = make_preprocessor(as_space(space), preprocessing).shape
    backbone = as_spec(options.get("backbone") or default_backbone(shape))
    grid = BACKBONES.build(backbone).grid(shape) if len(shape) == 3 else None
    cells = math.prod(grid or ())
    # A grid has the same number of features in each cell.
    latent_dim = max(1, min(FEATURES, math.prod(shape)) // cells) * cells
    corruption = {"name": "masking", "fraction": fraction}
    shared = {"backbone": backbone, "preprocessing": preprocessing}
    return denoising_ae(space, latent_dim, corruption, **shared)


@MODELS.register("factor_vae")
def factor_vae(
    space: Space, latent_dim: int = 32, gamma: float = 10.0, **options: Unpack[ModelOptions]
) -> Autoencoder:
    """FactorVAE (Kim & Mnih 2018, arXiv:1802.05983).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        gamma: weight of the total correlation, estimated by a classifier.
        **options: ``ModelOptions`` as in ``ae``.
    """
    losses = [KL_TERM, {"name": "density_ratio", "gamma": gamma}]
    return build("factor_vae", space, latent_dim, options, head=GAUSSIAN, losses=losses)


@MODELS.register("beta_tcvae")
def beta_tcvae(
    space: Space, latent_dim: int = 32, beta: float = 6.0, **options: Unpack[ModelOptions]
) -> Autoencoder:
    """beta-TCVAE (Chen et al. 2018, arXiv:1802.04942).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        beta: weight of the total correlation, estimated from the minibatch; 1 is a ``vae``.
        **options: ``ModelOptions`` as in ``ae``.

    Raises:
        ValueError: ``beta`` is less than 1.
    """
    if beta < 1:
        raise ValueError(
            f"beta must be at least 1, the weight of the total correlation in a vae; got {beta}"
        )
    # KL = index-code mutual information + TC + dimension-wise KL (equation 2): the KL term already
    # counts the total correlation once.
    losses = [KL_TERM, {"name": "total_correlation", "weight": beta - 1}]
    return build("beta_tcvae", space, latent_dim, options, head=GAUSSIAN, losses=losses)


@MODELS.register("dip_vae")
def dip_vae(
    space: Space,
    latent_dim: int = 32,
    version: Literal["i", "ii"] = "i",
    off_diagonal: float = 10.0,
    diagonal: float | None = None,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """DIP-VAE-I and II (Kumar et al. 2018, arXiv:1711.00848).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        version: "i" uses the covariance of the posterior means, "ii" that of the samples.
        off_diagonal: weight of the squared covariances.
        diagonal: weight of the squared distances of the variances from 1; None means ten times
            ``off_diagonal`` for "i" and ``off_diagonal`` for "ii".
        **options: ``ModelOptions`` as in ``ae``.

    Raises:
        ValueError: the version is unknown.
    """
    if version not in ("i", "ii"):
        raise ValueError(f"unknown version {version!r}; known: i, ii")
    if diagonal is None:
        diagonal = (10 if version == "i" else 1) * off_diagonal
    of = "mean" if version == "i" else "sample"
    moments = {"name": "moments", "off_diagonal": off_diagonal, "diagonal": diagonal, "of": of}
    return build("dip_vae", space, latent_dim, options, head=GAUSSIAN, losses=[KL_TERM, moments])
