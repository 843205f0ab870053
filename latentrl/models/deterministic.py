"""Autoencoders whose codes are points or bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import MODELS, POINT, UNIT_POINT, Part, Space, build
from latentrl.models.config import Spec
from latentrl.models.corruptions import CORRUPTIONS
from latentrl.models.losses.latent import Prior
from latentrl.models.preprocessing import Preprocessing


@MODELS.register("ae")
def ae(
    space: Space,
    latent_dim: int = 32,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Undercomplete autoencoder (Hinton & Salakhutdinov 2006, Science 313).

    Args:
        space: observation space, or a shape such as ``(64, 64, 3)`` (uint8) or ``(8,)`` (float32);
            of sequences the Box, ``(T, D)`` float32.
        latent_dim: size of the code.
        likelihood: ``"gaussian"``, ``"bernoulli"``, ``"diagonal_gaussian"``, or a spec such as
            ``{"name": "gaussian", "sigma": 0.1}``.
        backbone: spec of the networks, for example ``{"name": "conv", "channels": (32, 64)}``.
        preprocessing: crop, size and greyscale of images.
    """
    return build("ae", space, latent_dim, likelihood, backbone, preprocessing, head=POINT)


@MODELS.register("denoising_ae")
def denoising_ae(
    space: Space,
    latent_dim: int = 32,
    corruption: str | Sequence[Spec] = "gaussian_noise",
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
    **parameters: Any,
) -> Autoencoder:
    """Autoencoder of the clean observation from a damaged one (Vincent et al. 2008, ICML).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        corruption: a name, with its ``parameters`` (``std=0.3``), or a sequence of specs, applied
            in order.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.
        **parameters: parameters of the named corruption.

    Raises:
        ValueError: the corruption is unknown, or has no such parameter.
    """
    if not isinstance(corruption, str) and parameters:
        raise ValueError(
            f"{next(iter(parameters))!r} goes into the specs in corruption, not beside them"
        )
    specs = (
        [{"name": corruption, **parameters}] if isinstance(corruption, str) else list(corruption)
    )
    for spec in specs:
        CORRUPTIONS.build(spec)
    return build(
        "denoising_ae",
        space,
        latent_dim,
        likelihood,
        backbone,
        preprocessing,
        head=POINT,
        corruptions=specs,
    )


@MODELS.register("inpainting_ae")
def inpainting_ae(
    space: Space,
    latent_dim: int = 64,
    smallest: float = 0.2,
    largest: float = 0.5,
    weight: float = 4.0,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Autoencoder that fills a cut-out region (context encoders: Pathak et al. 2016,
    arXiv:1604.07379).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        smallest: least side of the hole in training, as a share of the observation's side.
        largest: greatest side.
        weight: how much more an error inside the hole counts; 0 treats all values alike.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.
    """
    cutout = {"name": "cutout", "smallest": smallest, "largest": largest}
    hole = {"name": "hole", "weight": weight}
    parts = {"head": POINT, "corruptions": [cutout], "losses": [hole]}
    return build("inpainting_ae", space, latent_dim, likelihood, backbone, preprocessing, **parts)


@MODELS.register("sparse_ae")
def sparse_ae(
    space: Space,
    latent_dim: int = 64,
    prior: Prior = "l1",
    weight: float | None = None,
    target: float = 0.05,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Autoencoder with few active units; the code may be larger than the observation.

    The decoder's first layer has columns of unit length, else the code would shrink and nothing
    would become sparse.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        prior: ``"l1"`` (Laplacian), ``"l2"`` (Gaussian), or ``"kl"`` (mean activations near
            ``target``, Ng 2011).
        weight: of the penalty in nats; None takes 10, and 100 for ``"kl"``.
        target: mean activation of each unit that ``"kl"`` asks for.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.
    """
    head = {"name": "point", "activation": "sigmoid"} if prior == "kl" else UNIT_POINT
    if weight is None:
        weight = 100.0 if prior == "kl" else 10.0
    sparsity = {"name": "sparsity", "prior": prior, "weight": weight, "target": target}
    return build(
        "sparse_ae",
        space,
        latent_dim,
        likelihood,
        backbone,
        preprocessing,
        head=head,
        losses=[sparsity],
    )


@MODELS.register("contractive_ae")
def contractive_ae(
    space: Space,
    latent_dim: int = 32,
    weight: float = 1.0,
    tied: bool = False,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Autoencoder whose code changes little with the observation (Rifai et al. 2011, ICML).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        weight: of the squared Frobenius norm of the code's Jacobian.
        tied: one sigmoid layer and its transpose, the paper's own network; replaces ``backbone``.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.

    Raises:
        ValueError: both ``tied`` and ``backbone`` are given.
    """
    if tied and backbone is not None:
        raise ValueError("tied=True chooses the networks itself; give either it or backbone")
    backbone = {"name": "sigmoid", "tied": True} if tied else backbone
    parts = {
        "head": POINT if tied else UNIT_POINT,
        "losses": [{"name": "contraction", "weight": weight}],
    }
    return build("contractive_ae", space, latent_dim, likelihood, backbone, preprocessing, **parts)


@MODELS.register("psd_ae")
def psd_ae(
    space: Space,
    latent_dim: int = 64,
    sparsity: float = 10.0,
    prediction: float = 1.0,
    steps: int = 10,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Predictive sparse decomposition (Kavukcuoglu et al. 2008, arXiv:1010.3467).

    Training finds each sparse code by FISTA from the encoder's guess; the encoder learns to predict
    it, and is the code in use. The code may be larger than the observation.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        sparsity: weight of the code's L1 norm.
        prediction: weight of the squared distance between code and guess.
        steps: proximal steps for each training step.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks; None has a linear dictionary for a decoder, as in the paper.
        preprocessing: crop, size and greyscale of images.
    """
    parts = {
        "head": UNIT_POINT,
        "inference": {
            "name": "fista",
            "sparsity": sparsity,
            "prediction": prediction,
            "steps": steps,
        },
        "losses": [
            {"name": "sparsity", "weight": sparsity},
            {"name": "prediction", "weight": prediction},
        ],
    }
    return build(
        "psd_ae",
        space,
        latent_dim,
        likelihood,
        backbone or {"name": "dictionary"},
        preprocessing,
        **parts,
    )


@MODELS.register("binary_ae")
def binary_ae(
    space: Space,
    latent_dim: int = 32,
    noise: float = 0.0,
    saturation: float = 0.1,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Autoencoder with a code of bits, for search (Salakhutdinov & Hinton 2009, semantic hashing).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: number of bits.
        noise: standard deviation of the noise on the logits in training, which drives them to
            saturate; 0 decodes the bits and passes the gradient straight through.
        saturation: weight of the term that pushes probabilities to 0 or 1.
        likelihood: name or spec of the decoder's distribution.
        backbone: spec of the networks.
        preprocessing: crop, size and greyscale of images.
    """
    parts = {
        "head": {"name": "binary", "noise": noise},
        "losses": [{"name": "saturation", "weight": saturation}],
    }
    return build("binary_ae", space, latent_dim, likelihood, backbone, preprocessing, **parts)
