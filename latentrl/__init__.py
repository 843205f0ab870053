"""Train Stable-Baselines3 agents in the latent space of a disentangled VAE."""

from latentrl.analysis import Health, health, traverse
from latentrl.autoencoder import Autoencoder, AutoencoderConfig
from latentrl.checkpoint import load, save
from latentrl.collection import collect
from latentrl.frames import Frames, as_frames
from latentrl.models import ae, beta_vae, denoising_ae, pca, random, vae
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
    "beta_vae",
    "collect",
    "denoising_ae",
    "fit",
    "health",
    "load",
    "pca",
    "random",
    "save",
    "traverse",
    "vae",
    "wrap",
]
