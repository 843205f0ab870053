"""Train Stable-Baselines3 agents in the latent space of a disentangled VAE.

The verbs, the model functions, the bonuses and the indexes are here; the rest is in the namespaces
``data``, ``models``, ``latents``, ``novelty``, ``wrappers``, ``share`` and ``viz``.
"""

from latentrl import data, latents, models, novelty, share, viz, wrappers
from latentrl.data.collect import collect
from latentrl.data.frames import Frames, as_frames
from latentrl.data.readers import read_labels
from latentrl.latents.anomaly import AnomalyDetector
from latentrl.latents.disentanglement import disentanglement_scores
from latentrl.latents.generate import arithmetic, direction, interpolate, manifold, sample, traverse
from latentrl.latents.index import HammingIndex, LatentIndex, hamming, pack_bits, unpack_bits
from latentrl.latents.restore import inpaint, score_field
from latentrl.latents.roc import auroc
from latentrl.models import (
    Autoencoder,
    ae,
    beta_tcvae,
    beta_vae,
    binary_ae,
    contractive_ae,
    dae_beta_vae,
    denoising_ae,
    dip_vae,
    factor_vae,
    fsq_ae,
    inpainting_ae,
    pca,
    psd_ae,
    qlae,
    random,
    sparse_ae,
    vae,
)
from latentrl.models.config import AutoencoderConfig
from latentrl.models.preprocessing import Preprocessing
from latentrl.models.warm_start import warm_start
from latentrl.novelty import (
    ICM,
    RND,
    Elliptical,
    FirstVisits,
    HashCounts,
    NormalizedBonus,
    Product,
    ReconstructionGain,
    Sum,
    TemporalDistance,
    TokenCounts,
)
from latentrl.share import push_to_hub
from latentrl.training.checkpoint import load, save
from latentrl.training.choice import Choice, choose
from latentrl.training.config import FitConfig
from latentrl.training.fit import History, fit
from latentrl.training.health import Health, health
from latentrl.training.invariance import invariant
from latentrl.training.quality import Quality, quality
from latentrl.training.vector_quality import VectorQuality, vector_quality
from latentrl.types import Encoder, Novelty
from latentrl.wrappers import wrap

__version__ = "0.2.0"

__all__ = [
    "ICM",
    "RND",
    "AnomalyDetector",
    "Autoencoder",
    "AutoencoderConfig",
    "Choice",
    "Elliptical",
    "Encoder",
    "FirstVisits",
    "FitConfig",
    "Frames",
    "HammingIndex",
    "HashCounts",
    "Health",
    "History",
    "LatentIndex",
    "NormalizedBonus",
    "Novelty",
    "Preprocessing",
    "Product",
    "Quality",
    "ReconstructionGain",
    "Sum",
    "TemporalDistance",
    "TokenCounts",
    "VectorQuality",
    "ae",
    "arithmetic",
    "as_frames",
    "auroc",
    "beta_tcvae",
    "beta_vae",
    "binary_ae",
    "choose",
    "collect",
    "contractive_ae",
    "dae_beta_vae",
    "data",
    "denoising_ae",
    "dip_vae",
    "direction",
    "disentanglement_scores",
    "factor_vae",
    "fit",
    "fsq_ae",
    "hamming",
    "health",
    "inpaint",
    "inpainting_ae",
    "interpolate",
    "invariant",
    "latents",
    "load",
    "manifold",
    "models",
    "novelty",
    "pack_bits",
    "pca",
    "psd_ae",
    "push_to_hub",
    "qlae",
    "quality",
    "random",
    "read_labels",
    "sample",
    "save",
    "score_field",
    "share",
    "sparse_ae",
    "traverse",
    "unpack_bits",
    "vae",
    "vector_quality",
    "viz",
    "warm_start",
    "wrap",
    "wrappers",
]
