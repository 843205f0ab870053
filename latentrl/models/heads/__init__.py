"""Heads: the posterior over latents that the encoder's outputs parameterise."""

from latentrl.models.heads.base import HEADS, Head, Posterior
from latentrl.models.heads.continuous import ACTIVATIONS, LOG_VARIANCE_LIMIT, GaussianPosterior
from latentrl.models.heads.discrete import BinaryPosterior, CodebookPosterior

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "LOG_VARIANCE_LIMIT",
    "BinaryPosterior",
    "CodebookPosterior",
    "GaussianPosterior",
    "Head",
    "Posterior",
]
