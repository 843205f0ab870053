"""Autoencoders whose latents are points or bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from typing_extensions import Unpack

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import (
    MODELS,
    POINT,
    UNIT_POINT,
    ModelOptions,
    Part,
    Space,
    as_specs,
    build,
)
from latentrl.models.config import Spec
from latentrl.models.corruptions import CORRUPTIONS
from latentrl.models.losses.latent import Prior


@MODELS.register("ae")
def ae(space: Space, latent_dim: int = 32, **options: Unpack[ModelOptions]) -> Autoencoder:
    """Undercomplete autoencoder (Hinton & Salakhutdinov 2006, Science 313).

    Args:
        space: observation space, or a shape such as ``(64, 64, 3)`` (uint8) or ``(8,)`` (float32);
            for sequences ``(T, D)`` their Box of float32.
        latent_dim: size of the latent.
        **options: ``ModelOptions``, which every model takes: likelihood, backbone, preprocessing,
            losses, corruptions.

    Raises:
        ValueError: an option is unknown, or components do not fit one another.
    """
    return build("ae", space, latent_dim, options, head=POINT)


@MODELS.register("denoising_ae")
def denoising_ae(
    space: Space,
    latent_dim: int = 32,
    corruption: Part | Sequence[Part] = "gaussian_noise",
    **options: Any,
) -> Autoencoder:
    """Autoencoder of the clean observation from a corrupted one (Vincent et al. 2008, ICML).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        corruption: name or spec of a corruption, or a sequence of them, applied in order.
        **options: ``ModelOptions`` as in ``ae``; and parameters of the corruption (``std=0.3``)
            where it is given by name.

    Raises:
        ValueError: the corruption is unknown, or has no such parameter.
    """
    shared = {name: options.pop(name) for name in ModelOptions.__annotations__ if name in options}
    specs = _corruptions(corruption, options)
    return build(
        "denoising_ae", space, latent_dim, cast(ModelOptions, shared), head=POINT, corruptions=specs
    )


def _corruptions(corruption: Part | Sequence[Part], parameters: Mapping[str, Any]) -> list[Spec]:
    if isinstance(corruption, str):
        specs: list[Spec] = [{"name": corruption, **parameters}]
    elif parameters:
        raise ValueError(
            f"{next(iter(parameters))!r} goes into the specs in corruption, not beside them"
        )
    else:
        specs = as_specs(corruption)
    for spec in specs:
        CORRUPTIONS.build(spec)  # raises before networks are built, and names the corruption
    return specs


@MODELS.register("inpainting_ae")
def inpainting_ae(
    space: Space,
    latent_dim: int = 64,
    smallest: float = 0.2,
    largest: float = 0.5,
    weight: float = 4.0,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """Autoencoder that fills a cut-out region (Pathak et al. 2016, arXiv:1604.07379).

    The region of a vector is a run of neighbouring values. For values that are missing at random,
    as in tables, train ``denoising_ae`` with the corruption ``masking``.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        smallest: least side of the hole in training, as a fraction of the observation's side.
        largest: greatest side.
        weight: additional weight of errors inside the hole; 0 weighs all values alike.
        **options: ``ModelOptions`` as in ``ae``.
    """
    cutout = {"name": "cutout", "smallest": smallest, "largest": largest}
    hole = {"name": "hole", "weight": weight}
    own = {"head": POINT, "corruptions": [cutout], "losses": [hole]}
    return build("inpainting_ae", space, latent_dim, options, **own)


@MODELS.register("sparse_ae")
def sparse_ae(
    space: Space,
    latent_dim: int = 64,
    prior: Prior = "l1",
    weight: float | None = None,
    target: float = 0.05,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """Autoencoder with few active units; the latent may be larger than the observation.

    The decoder's first layer has columns of unit length, without which latents shrink and none
    becomes zero.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        prior: ``"l1"`` (Laplacian), ``"l2"`` (Gaussian), or ``"kl"`` (mean activations near
            ``target``, Ng 2011).
        weight: weight of the penalty in nats; None means 10, and 100 for ``"kl"``.
        target: mean activation of each unit at which ``"kl"`` is 0.
        **options: ``ModelOptions`` as in ``ae``.
    """
    head = {"name": "point", "activation": "sigmoid"} if prior == "kl" else UNIT_POINT
    if weight is None:
        weight = 100.0 if prior == "kl" else 10.0
    sparsity = {"name": "sparsity", "prior": prior, "weight": weight, "target": target}
    return build("sparse_ae", space, latent_dim, options, head=head, losses=[sparsity])


@MODELS.register("contractive_ae")
def contractive_ae(
    space: Space,
    latent_dim: int = 32,
    weight: float = 1.0,
    tied: bool = False,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """Autoencoder whose latent changes little with the observation (Rifai et al. 2011, ICML).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        weight: weight of the squared Frobenius norm of the latent's Jacobian.
        tied: whether to use one sigmoid layer and its transpose, the paper's own network.
        **options: ``ModelOptions`` as in ``ae``; no backbone beside ``tied``.

    Raises:
        ValueError: both ``tied`` and ``backbone`` are given.
    """
    own: dict[str, Any] = {"losses": [{"name": "contraction", "weight": weight}]}
    if not tied:
        return build("contractive_ae", space, latent_dim, options, head=UNIT_POINT, **own)
    if options.get("backbone") is not None:
        raise ValueError("tied=True chooses the networks itself; give either it or backbone")
    backbone = {"name": "sigmoid", "tied": True}
    return build("contractive_ae", space, latent_dim, options, head=POINT, backbone=backbone, **own)


@MODELS.register("psd_ae")
def psd_ae(
    space: Space,
    latent_dim: int = 64,
    sparsity: float = 10.0,
    prediction: float = 1.0,
    steps: int = 10,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """Predictive sparse decomposition (Kavukcuoglu et al. 2008, arXiv:1010.3467).

    Training finds each sparse latent by FISTA from the encoder's guess, and trains the encoder to
    predict it; ``encode`` returns the prediction. The latent may be larger than the observation.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        sparsity: weight of the latent's L1 norm.
        prediction: weight of the squared distance between latent and guess.
        steps: proximal steps per training step.
        **options: ``ModelOptions`` as in ``ae``; the default backbone is a dictionary, the linear
            decoder of the paper.
    """
    weights = {"sparsity": sparsity, "prediction": prediction}
    own = {
        "head": UNIT_POINT,
        "backbone": {"name": "dictionary"},
        "inference": {"name": "fista", **weights, "steps": steps},
        "losses": [{"name": name, "weight": weight} for name, weight in weights.items()],
    }
    return build("psd_ae", space, latent_dim, options, **own)


@MODELS.register("binary_ae")
def binary_ae(
    space: Space,
    latent_dim: int = 32,
    noise: float = 0.0,
    saturation: float = 0.1,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """Autoencoder with a latent of bits, for search (Salakhutdinov & Hinton 2009).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: number of bits.
        noise: standard deviation of the noise on the logits in training, which drives them to
            saturate; 0 decodes the bits and passes the gradient straight through.
        saturation: weight of the term that pushes probabilities to 0 or 1.
        **options: ``ModelOptions`` as in ``ae``.
    """
    head = {"name": "binary", "noise": noise}
    losses = [{"name": "saturation", "weight": saturation}]
    return build("binary_ae", space, latent_dim, options, head=head, losses=losses)
