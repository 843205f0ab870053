"""Terms of the loss, in nats per observation: the reconstruction, and penalties added to it."""

from latentrl.models.losses import change, disentanglement, kl, latent, temporal_contrast
from latentrl.models.losses.base import LOSSES, Batch, Loss, check_weight
from latentrl.models.losses.reconstruction import RECONSTRUCTIONS, Reconstruction

__all__ = [
    "LOSSES",
    "RECONSTRUCTIONS",
    "Batch",
    "Loss",
    "Reconstruction",
    "change",
    "check_weight",
    "disentanglement",
    "kl",
    "latent",
    "temporal_contrast",
]
