"""pca against scikit-learn, and the linear autoencoder against both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

import latentrl as lrl
from latentrl.models.batches import scaled_batches

CONFIG = lrl.FitConfig(device="cpu", precision="float32")


def scaled_training(model: lrl.Autoencoder, data: Any) -> Any:
    """Return the training frames as the solver gets them, preprocessed and flat."""
    training, _ = lrl.as_frames(data).split(CONFIG.validation, CONFIG.seed)
    return torch.cat(list(scaled_batches(model, training))).flatten(1).double().numpy()


def angle(model: lrl.Autoencoder, pca: PCA) -> float:
    """Return the largest angle between the decoder's and scikit-learn's subspaces, in degrees."""
    directions = (
        next(m for m in model.decoder.modules() if isinstance(m, torch.nn.Linear))
        .weight.detach()
        .numpy()
    )
    return float(np.degrees(subspace_angles(directions, pca.components_.T).max()))


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_pca_equals_scikit_learn(kind: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(kind)
    model = lrl.pca(data.shape[1:], latent_dim=5)
    lrl.fit(model, data, CONFIG, progress=False)
    x = scaled_training(model, data)
    oracle = PCA(5, svd_solver="full").fit(x)
    assert angle(model, oracle) < 1

    with torch.no_grad():
        posterior, _, outputs = model(torch.from_numpy(x).float().view(-1, *model.preprocess.shape))
    error = np.square(outputs.flatten(1).numpy() - x).sum()
    expected = np.square(oracle.inverse_transform(oracle.transform(x)) - x).sum()
    assert error == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(posterior.mean.var(0).numpy(), oracle.explained_variance_, rtol=1e-3)
    np.testing.assert_allclose(
        np.abs(posterior.mean.numpy()), np.abs(oracle.transform(x)), atol=0.02 * x.std() * 5
    )


def test_pca_accepts_fewer_frames_than_dimensions(images: Any) -> None:
    few = images[:9]
    model = lrl.pca(few.shape[1:], latent_dim=7)
    lrl.fit(model, few, CONFIG, progress=False)
    training, _ = lrl.as_frames(few).split(CONFIG.validation, CONFIG.seed)
    error = np.abs(model.reconstruct(training[:]).astype(int) - training[:])
    assert error.max() <= 1  # eight frames span seven directions around their mean


def test_pca_of_all_dimensions_is_lossless(vectors: Any) -> None:
    model = lrl.pca((8,), latent_dim=8)
    lrl.fit(model, vectors, CONFIG, progress=False)
    np.testing.assert_allclose(model.reconstruct(vectors), vectors, atol=1e-3)


def test_signs_and_bits_do_not_depend_on_the_global_seed(vectors: Any) -> None:
    latents = []
    for torch_seed in (1, 2):
        torch.manual_seed(torch_seed)
        model = lrl.pca((8,), latent_dim=3)
        lrl.fit(model, vectors, CONFIG, progress=False)
        latents.append(model.encode(vectors))
    np.testing.assert_array_equal(*latents)


def test_a_linear_autoencoder_learns_the_principal_subspace(vectors: Any) -> None:
    torch.manual_seed(0)
    model = lrl.ae((8,), latent_dim=3, backbone={"name": "linear"})
    config = lrl.FitConfig(
        steps=1500, batch_size=256, learning_rate=0.02, device="cpu", precision="float32"
    )
    lrl.fit(model, vectors, config, progress=False)
    x = scaled_training(model, vectors)
    oracle = PCA(3).fit(x)
    assert angle(model, oracle) < 1
    with torch.no_grad():
        outputs = model(torch.from_numpy(x).float())[2].double().numpy()
    explained = 1 - np.square(outputs - x).sum() / np.square(x - x.mean(0)).sum()
    assert explained == pytest.approx(oracle.explained_variance_ratio_.sum(), rel=1e-3)
