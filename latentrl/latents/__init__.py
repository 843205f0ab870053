"""Uses of a trained model's latents: generation, search, anomalies, restoration, metrics."""

from latentrl.latents.anomaly import AnomalyDetector
from latentrl.latents.disentanglement import METRICS, disentanglement_scores
from latentrl.latents.generate import arithmetic, direction, interpolate, manifold, sample, traverse
from latentrl.latents.index import HammingIndex, LatentIndex, hamming, pack_bits, unpack_bits
from latentrl.latents.infomec import infomec
from latentrl.latents.projection import principal_plane
from latentrl.latents.restore import inpaint, score_field
from latentrl.latents.roc import auroc

__all__ = [
    "METRICS",
    "AnomalyDetector",
    "HammingIndex",
    "LatentIndex",
    "arithmetic",
    "auroc",
    "direction",
    "disentanglement_scores",
    "hamming",
    "infomec",
    "inpaint",
    "interpolate",
    "manifold",
    "pack_bits",
    "principal_plane",
    "sample",
    "score_field",
    "traverse",
    "unpack_bits",
]
