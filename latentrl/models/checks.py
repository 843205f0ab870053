"""Whether the components of a model fit one another; messages use the names of the specs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from latentrl.models.config import AutoencoderConfig
from latentrl.models.corruptions import Corruption
from latentrl.models.heads import Head
from latentrl.models.likelihoods import Likelihood
from latentrl.models.losses import Loss

Shape = tuple[int, ...]


def check_losses(config: AutoencoderConfig, losses: Sequence[Loss], head: Head) -> None:
    """Raise ``ValueError`` where a loss comes twice or needs another head."""
    names = [spec["name"] for spec in config.losses]
    taken = ["reconstruction", *names]
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise ValueError(
            f"loss {twice[0]!r} is given twice: a model has one term of each name, not "
            f"{', '.join(taken)}"
        )
    for name, loss in zip(names, losses, strict=True):
        if not issubclass(head.posterior, loss.needs):
            raise ValueError(
                f"loss {name!r} needs {loss.needs.kind}, not head {config.head['name']!r}"
            )


def check_no_pixels(config: AutoencoderConfig, losses: Sequence[Loss]) -> None:
    """Raise ``ValueError`` where a loss weighs pixels, whose error the model does not compute."""
    for spec, loss in zip(config.losses, losses, strict=True):
        if loss.weighs_pixels:
            raise ValueError(
                f"loss {spec['name']!r} weighs pixels, and a {config.model!r} model compares "
                f"{config.reconstruction['name']!r}: use another model, such as 'beta_vae'"
            )


def check_corruptions(
    config: AutoencoderConfig, corruptions: Sequence[Corruption], shape: Shape
) -> None:
    """Raise ``ValueError`` where a corruption needs images or colour, and ``shape`` has none."""
    for spec, corruption in zip(config.corruptions, corruptions, strict=True):
        if corruption.images_only and len(shape) != 3:
            raise ValueError(
                f"corruption {spec} needs values in [0, 1], as images have; vectors and sequences "
                "are scaled to standard scores: remove clip"
            )
        if corruption.colour_only and (len(shape) != 3 or shape[0] != 3):
            raise ValueError(
                f"corruption {spec['name']!r} needs images of 3 colour channels, not inputs of "
                f"shape {shape}"
            )


def check_likelihood(config: AutoencoderConfig, likelihood: Likelihood, shape: Shape) -> None:
    """Raise ``ValueError`` where targets of ``shape`` are not in the likelihood's range."""
    if likelihood.images_only and len(shape) != 3:
        raise ValueError(
            f"likelihood {config.likelihood['name']!r} needs values in [0, 1]; for vectors and "
            "sequences use 'gaussian'"
        )


def check_size(latent_dim: int, losses: Sequence[Loss], shape: Shape) -> None:
    """Raise ``ValueError`` where a latent could hold a copy of the observation."""
    size = math.prod(shape)
    if latent_dim > size and not any(loss.allows_overcomplete for loss in losses):
        raise ValueError(
            f"latent_dim={latent_dim} is larger than the observation, which has {size} values: "
            "use a smaller one, or a model whose penalty allows it, such as 'sparse_ae'"
        )
