"""What the models' functions share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gymnasium import spaces

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.config import AutoencoderConfig, Spec
from latentrl.models.preprocessing import Preprocessing
from latentrl.types import as_space, space_to_json
from latentrl.utils.registry import Registry

Space = spaces.Space[Any] | Sequence[int]
Part = str | Spec

MODELS: Registry[Autoencoder] = Registry("model")

POINT: Spec = {"name": "point"}
UNIT_POINT: Spec = {"name": "point", "unit_columns": True}
GAUSSIAN: Spec = {"name": "gaussian"}


def build(
    model: str,
    space: Space,
    latent_dim: int,
    likelihood: Part = "gaussian",
    backbone: Spec | None = None,
    preprocessing: Preprocessing = Preprocessing(),
    **parts: Any,
) -> Autoencoder:
    """Return the model of these parts; ``parts`` are further fields of ``AutoencoderConfig``."""
    likelihood = {"name": likelihood} if isinstance(likelihood, str) else likelihood
    config = AutoencoderConfig(
        model=model,
        space=space_to_json(as_space(space)),
        latent_dim=latent_dim,
        likelihood=likelihood,
        backbone=backbone,
        preprocessing=preprocessing,
        **parts,
    )
    return Autoencoder(config)
