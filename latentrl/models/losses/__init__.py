"""Penalties: named terms, in nats per observation, that are added to the reconstruction loss."""

from latentrl.models.losses import disentanglement, kl, latent, reconstruction
from latentrl.models.losses.base import LOSSES, Batch, Loss

__all__ = ["LOSSES", "Batch", "Loss", "disentanglement", "kl", "latent", "reconstruction"]
