"""Autoencoders whose codes are distributions near N(0, I)."""

from __future__ import annotations

import math
from typing import Literal

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import GAUSSIAN, MODELS, Part, Space, build
from latentrl.models.config import Spec
from latentrl.models.deterministic import denoising_ae
from latentrl.models.preprocessing import Preprocessing, make_preprocessor
from latentrl.types import as_space

FEATURES = 100
"""Size of the denoising code in DARLA."""


@MODELS.register("vae")
def vae(
    space: Space,
    latent_dim: int = 32,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114); arguments as in ``ae``."""
    losses = [{"name": "kl", "beta": 1.0}]
    return build(
        "vae", space, latent_dim, likelihood, backbone, preprocessing, head=GAUSSIAN, losses=losses
    )


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
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """beta-VAE (Higgins et al. 2017), or its capacity form (Burgess et al. 2018, arXiv:1804.03599).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        beta: weight of the KL divergence in nats, against a reconstruction summed over all values.
        free_bits: nats that each dimension may carry at no gain (Kingma et al. 2016,
            arXiv:1606.04934).
        capacity: nats that the KL divergence is held at; replaces ``beta`` by ``gamma * |KL - C|``.
        gamma: weight of the capacity term.
        capacity_steps: gradient steps over which C rises from 0 to ``capacity``.
        topk_weight: weight of the 2 % of each observation's values that are reconstructed worst, on
            top of
            all: for small things that a sum over pixels overlooks.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.
    """
    penalty: Spec = {"name": "kl", "beta": beta, "free_bits": free_bits}
    if capacity is not None:
        penalty = {
            "name": "capacity",
            "gamma": gamma,
            "capacity": capacity,
            "steps": capacity_steps,
        }
    losses = [penalty, {"name": "topk", "weight": topk_weight}] if topk_weight else [penalty]
    return build(
        "beta_vae",
        space,
        latent_dim,
        likelihood,
        backbone,
        preprocessing,
        head=GAUSSIAN,
        losses=losses,
    )


@MODELS.register("dae_beta_vae")
def dae_beta_vae(
    space: Space,
    latent_dim: int = 32,
    beta: float = 1.0,
    features: Autoencoder | None = None,
    share: float = 0.5,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """beta-VAE that reconstructs the features of a frozen denoising autoencoder: DARLA (Higgins et
    al. 2017).

    The paper is arXiv:1707.08475. ``fit`` trains the denoising autoencoder first, on masked frames.
    Features are its standardised codes.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        beta: weight of the KL divergence in nats.
        features: a model already fitted, to copy; None makes a new one of 100 features.
        share: of the positions that are masked when a new one is trained.
        likelihood: "gaussian", or a spec with its ``sigma`` in standard deviations of a feature.
        backbone: spec of the networks, of both models.
        preprocessing: crop, size and greyscale of images.
    """
    copied = features
    if features is None:
        size = min(FEATURES, math.prod(make_preprocessor(as_space(space), preprocessing).shape))
        features = denoising_ae(
            space, size, "masking", backbone=backbone, preprocessing=preprocessing, share=share
        )
    parts = {
        "head": GAUSSIAN,
        "losses": [{"name": "kl", "beta": beta}],
        "features": features.config.to_json(),
    }
    model = build("dae_beta_vae", space, latent_dim, likelihood, backbone, preprocessing, **parts)
    if copied is not None:
        model.take_features(copied)
    return model


@MODELS.register("factor_vae")
def factor_vae(
    space: Space,
    latent_dim: int = 32,
    gamma: float = 10.0,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """FactorVAE (Kim & Mnih 2018, arXiv:1802.05983).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        gamma: weight of the total correlation, estimated by a classifier.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.
    """
    losses = [{"name": "kl", "beta": 1.0}, {"name": "density_ratio", "gamma": gamma}]
    return build(
        "factor_vae",
        space,
        latent_dim,
        likelihood,
        backbone,
        preprocessing,
        head=GAUSSIAN,
        losses=losses,
    )


@MODELS.register("beta_tcvae")
def beta_tcvae(
    space: Space,
    latent_dim: int = 32,
    beta: float = 6.0,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """beta-TCVAE (Chen et al. 2018, arXiv:1802.04942).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        beta: weight of the total correlation, estimated from the minibatch; 1 is a ``vae``.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.

    Raises:
        ValueError: ``beta`` is less than 1.
    """
    if beta < 1:
        raise ValueError(
            f"beta weighs a total correlation that a vae counts once, so it is at least 1; got {beta}"
        )
    losses = [{"name": "kl", "beta": 1.0}, {"name": "total_correlation", "weight": beta - 1}]
    return build(
        "beta_tcvae",
        space,
        latent_dim,
        likelihood,
        backbone,
        preprocessing,
        head=GAUSSIAN,
        losses=losses,
    )


@MODELS.register("dip_vae")
def dip_vae(
    space: Space,
    latent_dim: int = 32,
    version: Literal["i", "ii"] = "i",
    off_diagonal: float = 10.0,
    diagonal: float | None = None,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """DIP-VAE-I and II (Kumar et al. 2018, arXiv:1711.00848).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        version: "i" takes the covariance of the posterior means, "ii" that of the samples.
        off_diagonal: weight of the squared covariances.
        diagonal: weight of the squared distances of the variances from 1; None takes ten times
            ``off_diagonal`` for "i" and ``off_diagonal`` for "ii".
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.

    Raises:
        ValueError: the version is unknown.
    """
    if version not in ("i", "ii"):
        raise ValueError(f"unknown version {version!r}; known: i, ii")
    if diagonal is None:
        diagonal = (10 if version == "i" else 1) * off_diagonal
    of = "mean" if version == "i" else "sample"
    moments = {"name": "moments", "off_diagonal": off_diagonal, "diagonal": diagonal, "of": of}
    losses = [{"name": "kl", "beta": 1.0}, moments]
    return build(
        "dip_vae",
        space,
        latent_dim,
        likelihood,
        backbone,
        preprocessing,
        head=GAUSSIAN,
        losses=losses,
    )
