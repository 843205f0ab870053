"""Health, statistics and traversals against brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.analysis import latent_order, store_statistics
from latentrl.autoencoder import QUANTILES
from latentrl.penalties import PENALTIES


def test_health_equals_brute_force(fitted: lrl.Autoencoder, images: Any) -> None:
    state = lrl.health(fitted, lrl.as_frames(images))
    losses, reconstructions, kls, errors = [], [], [], []
    with torch.no_grad():
        for image in images:
            x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
            outputs = fitted.encoder(x)[0]
            mean, log_variance = outputs[:6], outputs[6:]
            kl = torch.distributions.kl_divergence(
                torch.distributions.Normal(mean, (log_variance / 2).exp()), torch.distributions.Normal(0.0, 1.0)
            )
            restored = fitted.decoder(mean[None])
            reconstructions.append(-torch.distributions.Normal(restored, 0.1).log_prob(x).sum().item())
            losses.append(reconstructions[-1] + 0.1 * kl.sum().item())
            kls.append(kl.numpy())
            errors.append((restored - x).square().mean().item())
    assert state.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert state.reconstruction == pytest.approx(np.mean(reconstructions), rel=1e-4)
    assert state.psnr == pytest.approx(10 * np.log10(1 / np.mean(errors)), rel=1e-4)
    np.testing.assert_allclose(state.kl, np.mean(kls, axis=0), rtol=1e-3)
    codes = fitted.encode(images)
    np.testing.assert_allclose(state.variance, codes.var(0), rtol=1e-3)
    assert state.active_units == (codes.var(0) > 0.01).sum() > 0


def test_health_knows_the_step_of_a_schedule(vectors: Any) -> None:
    model = lrl.beta_vae((8,), 3, capacity=10.0, gamma=2.0, capacity_steps=100)
    frames = lrl.as_frames(vectors)
    early, late = lrl.health(model, frames, step=0), lrl.health(model, frames, step=100)
    kl = float(early.kl.sum())
    assert PENALTIES["capacity"] is type(model.penalties[0])
    assert early.loss - early.reconstruction == pytest.approx(2 * kl, rel=1e-3)
    assert late.loss - late.reconstruction == pytest.approx(2 * abs(kl - 10), rel=1e-3)


def test_points_have_no_kl(vectors: Any) -> None:
    state = lrl.health(lrl.ae((8,), 3), lrl.as_frames(vectors))
    assert state.kl.tolist() == [0, 0, 0]
    assert state.loss == state.reconstruction


def test_statistics_are_those_of_the_codes(fitted: lrl.Autoencoder, images: Any) -> None:
    frames = lrl.as_frames(images[:50])
    model = lrl.vae((32, 32, 3), 6, body=fitted.config.body)
    store_statistics(model, frames)
    codes = model.encode(images[:50])
    np.testing.assert_allclose(model.latent_mean, codes.mean(0), atol=1e-5)
    np.testing.assert_allclose(model.latent_std, codes.std(0), atol=1e-5)
    np.testing.assert_allclose(model.latent_quantiles, np.quantile(codes, QUANTILES, axis=0), atol=1e-5)
    np.testing.assert_allclose(model.latent_kl, lrl.health(model, frames).kl, atol=1e-5)


def test_fit_keeps_the_statistics_of_held_out_frames(fitted: lrl.Autoencoder, images: Any) -> None:
    _, validation = lrl.as_frames(images).split(0.1, 0)
    np.testing.assert_allclose(fitted.latent_mean, fitted.encode(validation[:]).mean(0), atol=1e-4)


def test_informative_dimensions_come_first(fitted: lrl.Autoencoder, vectors: Any) -> None:
    assert np.diff(fitted.latent_kl.numpy()[latent_order(fitted)]).max() <= 0
    model = lrl.pca((8,), 4)
    lrl.fit(model, vectors, progress=False)
    assert latent_order(model).tolist() == [0, 1, 2, 3]


def test_traversal_covers_the_quantiles_of_the_data(fitted: lrl.Autoencoder, images: Any) -> None:
    rows = lrl.traverse(fitted, images[0], dimensions=4, steps=5)
    assert rows.shape == (4, 5, 32, 32, 3)
    assert rows.dtype == np.uint8
    start, quantiles = fitted.encode(images[0]), fitted.latent_quantiles.numpy()
    for row, dimension in zip(rows, latent_order(fitted), strict=False):
        low, high = start.copy(), start.copy()
        low[dimension], high[dimension] = quantiles[0, dimension], quantiles[-1, dimension]
        for got, code in [(row[0], low), (row[2], (low + high) / 2), (row[-1], high)]:
            assert np.abs(got.astype(int) - fitted.decode(code)).max() <= 1
    assert not np.array_equal(rows[0, 0], rows[0, -1])


def test_traversal_of_all_dimensions(vectors: Any) -> None:
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    assert lrl.traverse(model, vectors[0]).shape == (3, 9, 8)


def test_traversal_needs_a_decoder() -> None:
    with pytest.raises(TypeError, match="a 'random' model has no decoder"):
        lrl.traverse(lrl.random((8,), 3), np.zeros(8, np.float32))
