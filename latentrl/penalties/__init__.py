"""Penalties: named terms, in nats per observation, that are added to the reconstruction loss."""

from latentrl.penalties import codes, disentangling, divergence, restoring
from latentrl.penalties.base import PENALTIES, Batch, Penalty

__all__ = ["PENALTIES", "Batch", "Penalty", "codes", "disentangling", "divergence", "restoring"]
