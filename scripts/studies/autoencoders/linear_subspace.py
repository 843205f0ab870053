"""Subspace of a linear autoencoder, compared with that of PCA."""

from __future__ import annotations

import importlib

import numpy as np
import torch

from latentrl import FitConfig, ae, as_frames, fit
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from scripts.studies.autoencoders.data import digits
from scripts.studies.core import Row, Study

LATENTS = 8


def study() -> Study:
    """Subspace of a linear autoencoder, compared with that of PCA.

    A linear autoencoder with squared error spans the same subspace as the first principal
    components (Baldi & Hornik 1989). The data are scikit-learn's digits as vectors, the latents
    have eight dimensions.
    """
    images, _ = digits()
    x = images.reshape(len(images), -1).astype(np.float32)
    torch.manual_seed(0)
    model = ae(x.shape[1:], LATENTS, backbone={"name": "linear"})
    fit(model, x, _config(len(x)))
    # PCA on the same split and the same scaling as the model; elsewhere the optima differ.
    training = _preprocessed(model, as_frames(x).split()[0][:])
    pca = importlib.import_module("sklearn.decomposition").PCA(LATENTS).fit(training)
    atoms, components = _atoms(model), pca.components_.T
    angles = importlib.import_module("scipy.linalg").subspace_angles(atoms, components)
    angle = float(np.degrees(angles).max())
    explained = 100 * _explained(training, atoms)
    baseline = 100 * _explained(training, components)
    close = abs(explained - baseline) <= 0.1
    return Study(
        [
            Row("largest principal angle to PCA, degrees", angle, {}, "under 1", angle < 1),
            Row("explained variance, %", explained, {"PCA": baseline}, "within 0.1", close),
        ]
    )


def _config(count: int) -> FitConfig:
    # Whole batches in float32, unclipped: gradient noise would bound the angle from below.
    return FitConfig(
        steps=4000, batch_size=count, learning_rate=1e-2, precision="float32", gradient_clip=None
    )


def _preprocessed(model: Autoencoder, x: Array) -> Array:
    scaled: Array = model.preprocess(torch.from_numpy(x).to(model.device)).cpu().numpy()
    return scaled


def _atoms(model: Autoencoder) -> Array:
    assert model.decoder is not None
    weights: Array = next(model.decoder.parameters()).detach().cpu().numpy()
    return weights


def _explained(x: Array, atoms: Array) -> float:
    centred = x - x.mean(0)
    basis = np.linalg.qr(atoms)[0]  # atoms are neither orthogonal nor of length 1
    return float(np.square(centred @ basis).sum() / np.square(centred).sum())
