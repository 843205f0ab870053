"""Train Stable-Baselines3 agents in the latent space of a disentangled VAE."""

from latentrl.analysis import Health, health, traverse
from latentrl.autoencoder import Autoencoder
from latentrl.checkpoint import load, save
from latentrl.collection import collect
from latentrl.config import AutoencoderConfig
from latentrl.frames import Frames, as_frames
from latentrl.models import (
    ae,
    beta_tcvae,
    beta_vae,
    binary_ae,
    contractive_ae,
    dae_beta_vae,
    denoising_ae,
    dip_vae,
    factor_vae,
    inpainting_ae,
    pca,
    psd_ae,
    random,
    sparse_ae,
    vae,
)
from latentrl.preprocessing import Preprocessing
from latentrl.training import FitConfig, History, fit
from latentrl.types import Encoder
from latentrl.wrappers import wrap

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "AutoencoderConfig",
    "Encoder",
    "FitConfig",
    "Frames",
    "Health",
    "History",
    "Preprocessing",
    "ae",
    "as_frames",
    "beta_tcvae",
    "beta_vae",
    "binary_ae",
    "collect",
    "contractive_ae",
    "dae_beta_vae",
    "denoising_ae",
    "dip_vae",
    "factor_vae",
    "fit",
    "health",
    "inpainting_ae",
    "load",
    "pca",
    "psd_ae",
    "random",
    "save",
    "sparse_ae",
    "traverse",
    "vae",
    "wrap",
]
