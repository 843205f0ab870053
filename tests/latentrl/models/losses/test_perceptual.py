"""Reconstruction in the features of a frozen model: training, gradients, values, resuming."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from tests.latentrl.models.helpers import BACKBONE, SHORT, first_linear, same_bits, scaled, seeded

WARM = pytest.mark.filterwarnings("ignore:the latents have collapsed")  # too short to learn


def make_dae() -> Autoencoder:
    return seeded(lrl.dae_beta_vae, (8,), 3, backbone=BACKBONE)


@pytest.fixture(scope="module")
def trained_dae(vectors: Any) -> Autoencoder:
    model = make_dae()
    lrl.fit(model, vectors, SHORT, progress=False)
    return model


def test_the_features_model_is_trained_first_and_as_if_alone(
    trained_dae: Autoencoder, vectors: Any
) -> None:
    alone = make_dae().reconstruction.prerequisite()
    lrl.fit(alone, vectors, SHORT, progress=False)
    assert same_bits(trained_dae.reconstruction.model, alone)
    assert alone.config.model == "denoising_ae"
    assert not any(weight.requires_grad for weight in trained_dae.reconstruction.model.parameters())


def test_no_gradient_reaches_the_features(trained_dae: Autoencoder, vectors: Any) -> None:
    x = scaled(trained_dae, vectors[:32])
    terms, _ = trained_dae.losses(
        x, *trained_dae.sample_noise(x, torch.Generator().manual_seed(0)), step=0
    )
    terms["reconstruction"].backward()
    assert all(weight.grad is None for weight in trained_dae.reconstruction.model.parameters())
    halves = [*trained_dae.encoder.parameters(), *trained_dae.decoder.parameters()]
    assert all(weight.grad is not None and weight.grad.any() for weight in halves)
    trained_dae.zero_grad()


def test_the_loss_in_features_equals_a_direct_computation(
    trained_dae: Autoencoder, vectors: Any
) -> None:
    features = trained_dae.reconstruction.model

    def standardised(observations: Any) -> Any:
        return (
            features.encode(observations) - features.latent_mean.numpy()
        ) / features.latent_std.numpy()

    x = vectors[:32]
    distance = standardised(trained_dae.reconstruct(x)) - standardised(x)
    sigma, target = 0.1, scaled(trained_dae, x)
    nll = 0.5 * np.square(distance / sigma) + math.log(sigma) + 0.5 * math.log(2 * math.pi)
    terms, batch = trained_dae.losses(target, target, None, None, 0)
    np.testing.assert_allclose(batch.nll.detach(), nll, rtol=1e-3, atol=1e-2)
    assert float(terms["reconstruction"].detach()) == pytest.approx(nll.sum(1).mean(), rel=1e-4)
    _, validation = lrl.as_frames(vectors).split(SHORT.validation, SHORT.seed)
    latents = standardised(validation[:])
    np.testing.assert_allclose([latents.mean(0), latents.std(0)], [[0] * 8, [1] * 8], atol=1e-4)


@WARM
def test_a_given_features_model_is_copied_and_stays(vectors: Any) -> None:
    given = seeded(lrl.ae, (8,), 5, backbone=BACKBONE)
    lrl.fit(given, vectors, SHORT, progress=False)
    model = seeded(lrl.dae_beta_vae, (8,), 3, features=given, backbone=BACKBONE)
    assert same_bits(model.reconstruction.model, given)
    lrl.fit(model, vectors, SHORT, progress=False)
    assert same_bits(model.reconstruction.model, given)
    with torch.no_grad():
        first_linear(given.encoder).weight.zero_()
    assert first_linear(model.reconstruction.model.encoder).weight.any()


def test_a_features_model_must_be_fitted_and_of_the_same_config() -> None:
    with pytest.raises(ValueError, match="features must be a fitted model: fit it first, or leave"):
        lrl.dae_beta_vae((8,), 3, features=lrl.ae((8,), 5))
    model, other = lrl.dae_beta_vae((16, 16, 3), 3), lrl.denoising_ae((16, 16, 3), 5)
    other.latent_quantiles.fill_(1)
    with pytest.raises(ValueError, match="features must be of the config that the model was built"):
        model.reconstruction.complete(other)


def test_features_need_one_sigma_and_the_same_inputs() -> None:
    with pytest.raises(
        ValueError, match="features are measured by likelihood 'gaussian', with one sigma for all"
    ):
        lrl.dae_beta_vae((16, 16, 3), 3, likelihood="bernoulli")
    with pytest.raises(
        ValueError,
        match=r"features model takes inputs of shape \(3, 16, 16\), this model .* \(3, 32, 32\)",
    ):
        lrl.dae_beta_vae((32, 32, 3), 3, features=lrl.denoising_ae((16, 16, 3), 4))


def test_features_are_no_pixel_likelihood(images: Any) -> None:
    model = lrl.dae_beta_vae((32, 32, 3), 3, backbone={"name": "linear"})
    assert not model.has_pixel_likelihood
    with pytest.raises(
        TypeError,
        match="'dae_beta_vae' model measures its reconstruction in 'features' and has no",
    ):
        model.pixel_nll(images[:2])


class Stop:
    """Interrupts a fit once, in the middle of a training step counted over both stages."""

    def __init__(self, step: int) -> None:
        self.step, self.done, self.losses = step, 0, Autoencoder.losses

    def __call__(self, model: Autoencoder, *arguments: Any) -> Any:
        self.done += model.training
        if self.done == self.step + 1 and model.training:
            raise KeyboardInterrupt
        return self.losses(model, *arguments)


@WARM
@pytest.mark.parametrize("step", [4, 15, 29, 33, 45])  # stage one has 30 steps
@pytest.mark.parametrize("again", ["same object", "new process"])
def test_both_stages_resume_to_the_same_bits(
    step: int, again: str, vectors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, interrupted = make_dae(), make_dae()
    expected = lrl.fit(whole, vectors, SHORT, progress=False)
    with monkeypatch.context() as patched:
        stop = Stop(step)
        patched.setattr(Autoencoder, "losses", lambda *arguments: stop(*arguments))
        with pytest.raises(KeyboardInterrupt):
            lrl.fit(interrupted, vectors, SHORT, path=tmp_path, progress=False)
    assert not any(weight.requires_grad for weight in interrupted.reconstruction.model.parameters())
    resumed = interrupted if again == "same object" else make_dae()
    assert lrl.fit(resumed, vectors, SHORT, path=tmp_path, resume=True, progress=False) == expected
    assert same_bits(resumed, whole)
    assert same_bits(lrl.load(tmp_path, "cpu"), whole)
