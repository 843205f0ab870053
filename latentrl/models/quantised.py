"""Autoencoders whose latents take few values: levels of a grid, or values of a codebook."""

from __future__ import annotations

from typing_extensions import Unpack

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.builder import MODELS, ModelOptions, Space, build


@MODELS.register("fsq_ae")
def fsq_ae(
    space: Space, latent_dim: int = 32, levels: int = 12, **options: Unpack[ModelOptions]
) -> Autoencoder:
    """Autoencoder with finite scalar quantisation (Mentzer et al. 2023, arXiv:2309.15505).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        levels: number of levels of each dimension, evenly spaced from -1 to 1 as in Tripod (Hsu et
            al. 2024, arXiv:2404.10282).
        **options: ``ModelOptions`` as in ``ae``.
    """
    return build("fsq_ae", space, latent_dim, options, head={"name": "fsq", "levels": levels})


@MODELS.register("qlae")
def qlae(
    space: Space,
    latent_dim: int = 32,
    values: int = 10,
    quantise: float = 1.0,
    commit: float = 1.0,
    weight_decay: float = 0.1,
    **options: Unpack[ModelOptions],
) -> Autoencoder:
    """Quantised latent autoencoder: QLAE (Hsu et al. 2023, arXiv:2305.18378).

    Few values for each dimension and a strong weight decay make the decoder give each dimension the
    same meaning everywhere, which disentangles them. The paper takes twice as many dimensions as
    there are factors.

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the latent.
        values: number of values in the codebook of each dimension; on a grid, of each channel.
        quantise: weight of the distance of the values from the encoder's outputs; 0.01 in the
            paper, whose likelihood is "bernoulli".
        commit: weight of the distance of the outputs from the values, likewise.
        weight_decay: decoupled weight decay of the encoder and the decoder, biases excepted.
        **options: ``ModelOptions`` as in ``ae``.
    """
    terms = {"quantise": quantise, "commit": commit}
    losses = [{"name": name, "weight": weight} for name, weight in terms.items()]
    own = {"head": {"name": "codebook", "values": values}, "losses": losses}
    return build("qlae", space, latent_dim, options, weight_decay=weight_decay, **own)
