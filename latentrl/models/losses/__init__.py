"""Penalties: named terms, in nats per observation, that are added to the reconstruction loss."""

from latentrl.models.losses import disentanglement, kl, latent, reconstruction
from latentrl.models.losses.base import PENALTIES, Batch, Penalty

__all__ = ["PENALTIES", "Batch", "Penalty", "disentanglement", "kl", "latent", "reconstruction"]
