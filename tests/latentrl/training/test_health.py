"""Health, similarity and statistics against brute force."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.data.frames import evenly_spaced
from latentrl.models import make
from latentrl.models.autoencoder import QUANTILES
from latentrl.models.losses import LOSSES
from latentrl.training.health import (
    ACTIVE_VARIANCE,
    latent_order,
    latent_statistics,
    psnr,
    ssim,
    validate,
)


def similarity(a: Any, b: Any) -> float:
    """Return SSIM of two images ``(C, H, W)`` by OpenCV's filter, where the window fits."""

    def blurred(channel: Any) -> Any:
        return cv2.GaussianBlur(channel.astype(np.float64), (11, 11), 1.5)[5:-5, 5:-5]

    values = []
    for x, y in zip(a, b, strict=True):
        mean_x, mean_y = blurred(x), blurred(y)
        var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
        covariance = blurred(x * y) - mean_x * mean_y
        top = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
        values.append(np.mean(top / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))))
    return float(np.mean(values))


def test_health_equals_brute_force(fitted: lrl.Autoencoder, images: Any) -> None:
    state = lrl.health(fitted, lrl.as_frames(images))
    losses, reconstructions, kls, errors, similarities = [], [], [], [], []
    with torch.no_grad():
        for image in images:
            x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
            outputs = fitted.encoder(x)[0]
            mean, log_variance = outputs[:6], outputs[6:]
            kl = torch.distributions.kl_divergence(
                torch.distributions.Normal(mean, (log_variance / 2).exp()),
                torch.distributions.Normal(0.0, 1.0),
            )
            outputs = fitted.decoder(mean[None])
            reconstructions.append(
                -torch.distributions.Normal(outputs, 0.1).log_prob(x).sum().item()
            )
            restored = outputs.clamp(0, 1)
            losses.append(reconstructions[-1] + 0.1 * kl.sum().item())
            kls.append(kl.numpy())
            errors.append((restored - x).square().mean().item())
            similarities.append(similarity(restored[0].numpy(), x[0].numpy()))
    assert state.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert state.reconstruction == pytest.approx(np.mean(reconstructions), rel=1e-4)
    assert state.psnr == pytest.approx(10 * np.log10(1 / np.mean(errors)), rel=1e-4)
    assert state.ssim == pytest.approx(np.mean(similarities), rel=1e-3)
    np.testing.assert_allclose(state.kl, np.mean(kls, axis=0), rtol=1e-3)
    variance = fitted.encode(images).var(0)
    np.testing.assert_allclose(state.variance, variance, rtol=1e-3)
    assert state.active_units == (variance > 0.01).sum() > 0


def test_health_and_quality_have_one_psnr_where_outputs_leave_the_range(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    model = copy.deepcopy(fitted)
    with torch.no_grad():
        for value in model.require_decoder().parameters():
            value *= 1.5
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        outputs = model.require_decoder()(model.head(model.encoder(x)).mean)
    assert outputs.min() < -0.1 or outputs.max() > 1.1
    frames = lrl.as_frames(images)
    assert lrl.health(model, frames).psnr == pytest.approx(lrl.quality(model, frames).psnr)


def test_health_uses_the_step_of_a_schedule(vectors: Any) -> None:
    model = lrl.beta_vae((8,), 3, capacity=10.0, gamma=2.0, capacity_steps=100)
    frames = lrl.as_frames(vectors)
    early, late = lrl.health(model, frames, step=0), lrl.health(model, frames, step=100)
    kl = float(early.kl.sum())
    assert LOSSES["capacity"] is type(model.loss_terms[0])
    assert early.loss - early.reconstruction == pytest.approx(2 * kl, rel=1e-3)
    assert late.loss - late.reconstruction == pytest.approx(2 * abs(kl - 10), rel=1e-3)


def test_psnr_is_relative_to_the_peak_and_bounded() -> None:
    assert psnr(0.01) == pytest.approx(20)
    assert psnr(6.5025, peak=255) == pytest.approx(20 * np.log10(255 / 2.55))
    assert psnr(0.0) == pytest.approx(120)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 11, 40), (2, 20, 13)])
def test_structural_similarity_equals_brute_force(shape: tuple[int, ...]) -> None:
    a = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    b = (a + 0.2 * torch.rand(4, *shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    expected = [similarity(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-4)
    np.testing.assert_allclose(ssim(b, a), ssim(a, b), rtol=1e-5)


@pytest.mark.parametrize("side", [8, 9, 32])
def test_only_equal_images_have_similarity_one(side: int) -> None:
    a = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(ssim(a, a), 1, rtol=1e-5)
    assert (ssim(a, a.flip(-1)) < 0.5).all()
    assert (ssim(a, 1 - a) < 0).all()


def test_deterministic_latents_have_no_kl_and_vectors_no_ssim(vectors: Any) -> None:
    state = lrl.health(lrl.ae((8,), 3), lrl.as_frames(vectors))
    assert state.kl.tolist() == [0, 0, 0]
    assert state.ssim is None
    assert state.loss == state.reconstruction


def test_statistics_are_those_of_the_latents(fitted: lrl.Autoencoder, images: Any) -> None:
    frames = lrl.as_frames(images[:50])
    model = lrl.vae((32, 32, 3), 6, backbone=fitted.config.backbone)
    latent_statistics(model, frames).store(model)
    latents = model.encode(images[:50])
    np.testing.assert_allclose(model.latent_mean, latents.mean(0), atol=1e-5)
    np.testing.assert_allclose(model.latent_std, latents.std(0), atol=1e-5)
    np.testing.assert_allclose(
        model.latent_quantiles, np.quantile(latents, QUANTILES, axis=0), atol=1e-5
    )
    np.testing.assert_allclose(model.latent_kl, lrl.health(model, frames).kl, atol=1e-5)


@pytest.mark.parametrize(("validation", "described"), [(0.5, 100), (0.02, 64)])
def test_fit_stores_the_statistics_of_enough_frames(
    validation: float, described: int, images: Any
) -> None:
    model = lrl.pca((32, 32, 3), 6)
    config = lrl.FitConfig(validation=validation)
    history = lrl.fit(model, images, config, progress=False)
    # Few held-out frames, which can be unlike all others, are completed by training frames.
    missing = described - len(history.validation)
    added = history.training.subset(evenly_spaced(len(history.training), missing))
    latents = model.encode(np.concatenate([history.validation[:], added[:]]))
    assert len(latents) == described
    np.testing.assert_allclose(model.latent_mean, latents.mean(0), atol=1e-4)
    np.testing.assert_allclose(model.latent_std, latents.std(0), atol=1e-4)
    active = (latents.var(0) > ACTIVE_VARIANCE).sum()
    assert history.epochs[-1]["active_units"] == active


def test_informative_dimensions_come_first(fitted: lrl.Autoencoder, vectors: Any) -> None:
    assert np.diff(fitted.latent_kl.numpy()[latent_order(fitted)]).max() <= 0
    model = lrl.pca((8,), 4)
    lrl.fit(model, vectors, progress=False)
    assert latent_order(model).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["vae", "denoising_ae"])
def test_validation_equals_separate_passes(name: str, vectors: Any) -> None:
    torch.manual_seed(0)
    model, frames = make(name, (8,), latent_dim=3), lrl.as_frames(vectors)
    state, statistics = validate(model, frames, step=0)
    expected = lrl.health(model, frames, corrupted=True)
    assert (state.loss, state.psnr) == (expected.loss, expected.psnr)
    np.testing.assert_array_equal(state.variance, expected.variance)
    latent_statistics(model, frames).store(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    statistics.store(model)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_frames_of_another_space_are_refused(vectors: Any) -> None:
    model = lrl.pca((8, 8, 3), latent_dim=4)
    for others in (np.zeros((9, 16, 16, 3), np.uint8), np.zeros((9, 8, 8, 3), np.float32), vectors):
        with pytest.raises(ValueError, match=r"takes observations of \(8, 8, 3\) uint8, these"):
            lrl.health(model, others)
