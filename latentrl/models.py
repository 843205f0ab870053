"""One function per published model: the table of contents of the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gymnasium import spaces

from latentrl.autoencoder import Autoencoder, AutoencoderConfig, Spec
from latentrl.corruption import CORRUPTIONS
from latentrl.preprocessing import Preprocessing
from latentrl.registry import Registry
from latentrl.types import as_space, space_to_json

Space = spaces.Space[Any] | Sequence[int]
Part = str | Spec

MODELS: Registry[Autoencoder] = Registry("model")


def _build(model: str, space: Space, latent_dim: int, likelihood: Part, **options: Any) -> Autoencoder:
    return Autoencoder(
        AutoencoderConfig(
            model=model,
            space=space_to_json(as_space(space)),
            latent_dim=latent_dim,
            likelihood=_spec(likelihood),
            **options,
        )
    )


def _spec(part: Part) -> Spec:
    return {"name": part} if isinstance(part, str) else part


@MODELS.register("ae")
def ae(
    space: Space,
    latent_dim: int = 32,
    likelihood: Part = "gaussian",
    body: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Undercomplete autoencoder (Hinton & Salakhutdinov 2006, Science 313).

    Args:
        space: observation space, or a shape such as ``(64, 64, 3)`` (uint8) or ``(8,)`` (float32).
        latent_dim: size of the code.
        likelihood: ``"gaussian"``, ``"bernoulli"``, or a spec such as ``{"name": "gaussian", "sigma": 0.1}``.
        body: spec of the networks, for example ``{"name": "conv", "channels": (32, 64)}``.
        preprocessing: crop, size and greyscale of images.
    """
    head = {"name": "point"}
    return _build("ae", space, latent_dim, likelihood, head=head, body=body, preprocessing=preprocessing)


@MODELS.register("denoising_ae")
def denoising_ae(
    space: Space,
    latent_dim: int = 32,
    corruption: str | Sequence[Spec] = "gaussian_noise",
    likelihood: Part = "gaussian",
    body: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
    **parameters: Any,
) -> Autoencoder:
    """Autoencoder of the clean observation from a damaged one (Vincent et al. 2008, ICML).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        corruption: a name, with its ``parameters`` (``std=0.3``), or a sequence of specs.
        likelihood: name or spec of the decoder's distribution.
        body: spec of the networks.
        preprocessing: crop, size and greyscale of images.
        **parameters: parameters of the named corruption.

    Raises:
        ValueError: the corruption is unknown, or has no such parameter.
    """
    if not isinstance(corruption, str) and parameters:
        raise ValueError(f"{next(iter(parameters))!r} goes into the specs in corruption, not beside them")
    specs = [{"name": corruption, **parameters}] if isinstance(corruption, str) else list(corruption)
    for spec in specs:
        CORRUPTIONS.build(spec)
    return _build(
        "denoising_ae",
        space,
        latent_dim,
        likelihood,
        head={"name": "point"},
        body=body,
        preprocessing=preprocessing,
        corruption=specs,
    )


@MODELS.register("vae")
def vae(
    space: Space,
    latent_dim: int = 32,
    likelihood: Part = "gaussian",
    body: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114); arguments as in ``ae``."""
    return _variational("vae", {"name": "kl", "beta": 1.0}, space, latent_dim, likelihood, body, preprocessing)


@MODELS.register("beta_vae")
def beta_vae(
    space: Space,
    latent_dim: int = 32,
    beta: float = 4.0,
    capacity: float | None = None,
    gamma: float = 100.0,
    capacity_steps: int = 10_000,
    likelihood: Part = "gaussian",
    body: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
) -> Autoencoder:
    """beta-VAE (Higgins et al. 2017), or its capacity form (Burgess et al. 2018, arXiv:1804.03599).

    Args:
        space: observation space or shape, as in ``ae``.
        latent_dim: size of the code.
        beta: weight of the KL divergence in nats, against a reconstruction summed over all values.
        capacity: nats that the KL divergence is held at; replaces ``beta`` by ``gamma * |KL - C|``.
        gamma: weight of the capacity term.
        capacity_steps: gradient steps over which C rises from 0 to ``capacity``.
        likelihood: name or spec of the decoder's distribution.
        body: spec of the networks.
        preprocessing: crop, size and greyscale of images.
    """
    penalty: Spec = {"name": "kl", "beta": beta}
    if capacity is not None:
        penalty = {"name": "capacity", "gamma": gamma, "capacity": capacity, "steps": capacity_steps}
    return _variational("beta_vae", penalty, space, latent_dim, likelihood, body, preprocessing)


def _variational(
    model: str,
    penalty: Spec,
    space: Space,
    latent_dim: int,
    likelihood: Part,
    body: Spec | None,
    preprocessing: Preprocessing,
) -> Autoencoder:
    return _build(
        model,
        space,
        latent_dim,
        likelihood,
        head={"name": "gaussian"},
        body=body,
        preprocessing=preprocessing,
        penalties=[penalty],
    )


@MODELS.register("pca")
def pca(space: Space, latent_dim: int = 32, preprocessing: Preprocessing = Preprocessing()) -> Autoencoder:
    """Principal components of the preprocessed observations, in the format of every other model.

    The baseline that a learned encoder should beat. ``fit`` solves it in a few passes.
    """
    return _build(
        "pca",
        space,
        latent_dim,
        "gaussian",
        head={"name": "point"},
        body={"name": "linear"},
        preprocessing=preprocessing,
        training="pca",
    )


@MODELS.register("random")
def random(
    space: Space, latent_dim: int = 32, body: Spec | None = None, preprocessing: Preprocessing = Preprocessing()
) -> Autoencoder:
    """A frozen encoder with random weights, and no decoder: the other baseline to beat."""
    return _build(
        "random",
        space,
        latent_dim,
        "gaussian",
        head={"name": "point"},
        body=body,
        preprocessing=preprocessing,
        training="none",
    )


def make(name: str, space: Space, **options: Any) -> Autoencoder:
    """Build the model called ``name``; options that are None keep the model's own default.

    Raises:
        ValueError: the name is unknown, or the model takes no such option.
    """
    given = {key: value for key, value in options.items() if value is not None}
    return MODELS.build({"name": name, **given}, space=space)


Builder = Callable[..., Autoencoder]
