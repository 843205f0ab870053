"""Quality against NumPy, stubs that lose one thing each, and models that were trained."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import latentrl as lrl
from latentrl.models.autoencoder import Autoencoder
from latentrl.training.quality import Quality, quality, used_dimensions
from tests.latentrl.training.ball import BallFrames, ball_frames, in_episodes

GOOD = Quality(0.9, 0.9, 30.0, 20.0, 4, 4, 0.2)


@pytest.fixture(scope="module")
def ball() -> BallFrames:
    return ball_frames(150)


class Table(nn.Module):
    """A decoder that returns the image whose number is the first latent."""

    def __init__(self, images: Any) -> None:
        super().__init__()
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    def forward(self, z: Tensor) -> Tensor:
        number = z[:, 0].round().long().clamp(0, len(self.images) - 1)
        return self.images[number]


class Lookup(nn.Module):
    """An encoder that returns the number of the image."""

    def __init__(self, images: Any) -> None:
        super().__init__()
        self.numbers = {image.tobytes(): i for i, image in enumerate(images)}

    def forward(self, x: Tensor) -> Tensor:
        images = (255 * x).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return torch.tensor([[float(self.numbers[image.tobytes()]), 0.0] for image in images])


def stub(inputs: Any, outputs: Any) -> Autoencoder:
    """Return a model that maps each of ``inputs`` to the image of ``outputs`` at its place."""
    model = lrl.ae(inputs.shape[1:], 2, backbone={"name": "mlp", "hidden": (4,)})
    model.encoder, model.decoder = Lookup(inputs), Table(outputs)
    return model


def test_a_perfect_reconstruction_has_no_problem(ball: BallFrames) -> None:
    measured = quality(stub(ball.observations, ball.observations), ball.frames)
    assert measured.problems() == []
    assert (measured.explained, measured.changing, measured.lost_detail) == (1, 1, 0)
    assert measured.psnr == pytest.approx(120)
    assert (measured.used_dimensions, measured.latent_dim) == (1, 2)


def test_an_object_that_is_painted_out_is_the_one_problem(ball: BallFrames) -> None:
    measured = quality(stub(ball.observations, ball.background), ball.frames)
    assert measured.explained > 0.8
    assert measured.lost_detail > 0.9
    [problem] = measured.problems()
    assert "in a tenth of the frames" in problem


def test_metrics_equal_numpy(ball: BallFrames) -> None:
    measured = quality(stub(ball.observations, ball.background), ball.frames)
    x, restored = ball.observations / 255, ball.background / 255
    error, deviation = np.square(restored - x), np.square(x - x.mean(0))
    previous = np.concatenate([x[:1], x[:-1]])
    previous[::50] = x[::50]  # the first of an episode is its own predecessor
    changes = (np.abs(x - previous) > 0.02).any(-1)
    explained = 1 - error.sum() / deviation.sum()
    changing = 1 - error[changes].sum() / deviation[changes].sum()
    assert 0 < changes.mean() < 1
    assert measured.explained == pytest.approx(explained, rel=1e-5)
    assert measured.changing == pytest.approx(changing, rel=1e-5)
    assert measured.psnr == pytest.approx(-10 * np.log10(error.mean()), rel=1e-5)
    assert measured.mean_psnr == pytest.approx(-10 * np.log10(deviation.mean()), rel=1e-5)


def test_bare_arrays_have_no_changing_pixels(ball: BallFrames) -> None:
    model = stub(ball.observations, ball.observations)
    measured = quality(model, lrl.as_frames(ball.observations))
    assert measured.changing is None
    assert measured.problems() == []


def test_equal_frames_explain_nothing(ball: BallFrames) -> None:
    one = ball.observations[:1]
    assert quality(stub(one, one), lrl.as_frames(one.repeat(3, 0))).explained == 0


def test_dimensions_in_use_are_those_that_change_the_image() -> None:
    model = lrl.pca((8, 8, 3), 4)
    assert model.decoder is not None

    class Decoder(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            image = torch.full((len(z), 3, 8, 8), 0.5)
            image[:, 0, 0, 0] += 0.2 * z[:, 0]  # one pixel is enough
            image[:, 1] += 0.001 * z[:, 1]  # too faint
            image[:, 2] += 0.2 * z[:, 3]  # a latent that is constant in the data
            return image

    model.decoder = Decoder()
    latents = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    latents[:, 3] = 1
    assert used_dimensions(model, latents) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"used_dimensions": 0}, "the latents have collapsed: the decoder uses no dimension"),
        ({"explained": 0.314}, r"31 % of the variance of all pixels is kept \(at least 50 %\)"),
        ({"explained": -2.0}, "0 % of the variance of all pixels"),
        ({"changing": 0.5}, r"50 % of the variance of changing pixels is kept \(at least 60 %\)"),
        ({"lost_detail": 0.9}, r"90 % of a detail, such as a .* is lost \(at most 60 %\)"),
    ],
)
def test_each_threshold_has_a_problem(changes: dict[str, Any], problem: str) -> None:
    [found] = dataclasses.replace(GOOD, **changes).problems()
    with pytest.raises(ValueError, match=problem):
        raise ValueError(found)
    assert GOOD.problems() == []


def test_the_probe_reads_factors_of_the_frames(fitted: lrl.Autoencoder, images: Any) -> None:
    latents = fitted.encode(images)
    factors = np.stack([latents @ np.arange(6), np.random.default_rng(0).normal(size=200)], 1)
    linear, noise = quality(fitted, lrl.as_frames(images), factors).probe
    assert linear > 0.99
    assert noise < 0.2


def test_metrics_are_json(fitted: lrl.Autoencoder, images: Any) -> None:
    measured = dataclasses.asdict(quality(fitted, in_episodes(images)))
    assert json.loads(json.dumps(measured, allow_nan=False))["latent_dim"] == 6


def test_mistakes(fitted: lrl.Autoencoder, images: Any, vectors: Any) -> None:
    frames = lrl.as_frames(images)
    with pytest.raises(TypeError, match="a 'random' model has no decoder"):
        quality(lrl.random((32, 32, 3), 4), frames)
    with pytest.raises(ValueError, match=r"observations are \(8,\) float32: use latentrl.health"):
        quality(lrl.ae((8,), 3), lrl.as_frames(vectors))
    with pytest.raises(ValueError, match=r"row for each of 200 frames, got shape \(199, 1\)"):
        quality(fitted, frames, np.zeros((199, 1)))
    for others in (images / np.float32(255), np.zeros((9, 16, 16, 3), np.uint8), vectors):
        with pytest.raises(ValueError, match=r"takes observations of \(32, 32, 3\) uint8, these"):
            quality(fitted, others)


@pytest.mark.slow
def test_a_plain_vae_loses_the_ball() -> None:
    frames = ball_frames(1_000).frames
    torch.manual_seed(0)
    conv = {"name": "conv", "channels": (16, 32), "hidden": 64}
    model = lrl.beta_vae((32, 32, 3), 32, backbone=conv)
    config = lrl.FitConfig(steps=300, batch_size=32, device="cpu", precision="float32")
    history = lrl.fit(model, frames, config, progress=False)
    measured = quality(model, history.validation)
    assert measured.explained > 0.7
    assert measured.lost_detail > 0.9
    assert "such as a small object" in measured.problems()[-1]


def test_what_is_lost_of_images_that_are_all_equal(ball: BallFrames) -> None:
    image = ball.observations[:1]
    lost = [lrl.quality(lrl.beta_vae((32, 32, 3), 4), image.repeat(n, 0)) for n in (1, 3)]
    assert min(measured.lost_detail for measured in lost) > 0.5
