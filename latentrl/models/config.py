"""AutoencoderConfig: everything that defines a model but its weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Annotated, Any, Literal, get_args

from latentrl.models.preprocessing import Preprocessing
from latentrl.utils.decoding import Between, Items, decode

Spec = Mapping[str, Any]
"""A registered name and its options, such as ``{"name": "kl", "beta": 4.0}``."""
Specs = Annotated[Sequence[Spec], Items(0, 100)]
Training = Literal["gradient", "pca", "none"]
TRAINING = get_args(Training)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Everything that defines a model but its weights; converts to JSON and back."""

    model: str
    """Name of the function in ``latentrl.models`` that made this config."""
    space: Spec
    """Observation space, as ``space_to_json`` describes it."""
    latent_dim: Annotated[int, Between(1, 2**20)]
    """Size of the latent."""
    head: Spec
    """Spec of the head."""
    likelihood: Spec = field(default_factory=lambda: {"name": "gaussian", "sigma": 0.1})
    """Spec of the decoder's distribution."""
    backbone: Spec | None = None
    """Spec of the networks; None chooses by the observation's shape."""
    preprocessing: Preprocessing = Preprocessing()
    """Crop, size and greyscale of images."""
    corruptions: Specs = ()
    """Specs of the corruptions of training inputs, applied in order."""
    reconstruction: Spec = field(default_factory=lambda: {"name": "pixels"})
    """Spec of what the reconstruction error is measured in."""
    losses: Specs = ()
    """Specs of the terms beside the reconstruction."""
    inference: Spec | None = None
    """Spec of what refines the latents during training; None decodes the encoder's own."""
    training: Training = "gradient"
    """How ``fit`` finds the weights; "none" keeps the random encoder and has no decoder."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the encoder and the decoder, as in AdamW."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a value that is invalid for every observation shape."""
        if self.training not in TRAINING:
            raise ValueError(f"unknown training {self.training!r}; known: {', '.join(TRAINING)}")
        if not isinstance(self.latent_dim, Integral) or isinstance(self.latent_dim, bool):
            raise TypeError(f"latent_dim is a whole number, got {self.latent_dim!r}")
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim is a number of values, at least 1; got {self.latent_dim}")
        if not 0 <= self.weight_decay < math.inf:  # also refuses NaN
            raise ValueError(f"weight_decay cannot be negative, got {self.weight_decay}")

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AutoencoderConfig:
        """Rebuild the config that ``to_json`` described.

        Raises:
            ValueError: a field is missing or unknown, or a value has another type.
        """
        if "preprocessing" not in data:  # its default belongs to new models
            raise ValueError("a model's config lacks 'preprocessing'")
        config: AutoencoderConfig = decode(cls, data, "a model's config")
        return config
