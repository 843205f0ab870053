"""Inpainting against OpenCV, score fields against the gradient of a known density."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.nn import functional as F

import latentrl as lrl
from latentrl.models.arrays import CHUNK

MLP = {"name": "mlp", "hidden": (128,)}
QUICK = lrl.FitConfig(
    steps=300, batch_size=64, learning_rate=3e-3, precision="float32", device="cpu"
)


def gratings(count: int, seed: int) -> Any:
    """Waves of one length and of random direction and phase, ``(count, 16, 16)`` uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    angle, phase = rng.uniform(0, np.pi, (count, 1, 1)), rng.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.sin(0.9 * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)
    return (127.5 + 120 * waves).astype(np.uint8)


def middle(height: int, width: int, side: int) -> Any:
    hole = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    hole[top : top + side, left : left + side] = True
    return hole


def as_fitted(model: lrl.Autoencoder) -> lrl.Autoencoder:
    """Let a model with fresh weights pass for one that was trained."""
    model.latent_quantiles.fill_(1)
    return model


def test_inpainting_of_structure_is_better_than_mean_colour_and_opencv() -> None:
    torch.manual_seed(0)
    model = lrl.inpainting_ae((16, 16), 8, backbone=MLP)
    lrl.fit(model, gratings(2000, 0), QUICK, progress=False)
    images, hole = gratings(100, 1), middle(16, 16, 6)

    def error(filled: Any) -> float:
        return float(np.square(filled[:, hole].astype(float) - images[:, hole]).mean())

    mask = hole.astype(np.uint8)
    corrupted = np.where(hole, 0, images).astype(np.uint8)
    mean_colour = np.where(hole, images[:, ~hole].mean(1)[:, None, None], images)
    baselines = [
        np.stack([cv2.inpaint(image, mask, 3, flag) for image in corrupted]) for flag in (0, 1)
    ]
    assert error(lrl.inpaint(model, images, hole)) < 0.5 * min(
        map(error, [mean_colour, *baselines])
    )


def test_only_holes_change_and_their_values_are_not_used(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    holes = np.random.default_rng(0).random((5, 32, 32)) < 0.2
    filled = lrl.inpaint(fitted, images[:5], holes)
    np.testing.assert_array_equal(filled[~holes], images[:5][~holes])
    noise = np.where(holes[..., None], 99, images[:5]).astype(np.uint8)
    np.testing.assert_array_equal(lrl.inpaint(fitted, noise, holes), filled)
    black = np.where(holes[..., None], 0, images[:5]).astype(np.uint8)
    np.testing.assert_array_equal(filled[holes], fitted.reconstruct(black)[holes])


def test_one_observation_and_one_mask_for_all(fitted: lrl.Autoencoder, images: Any) -> None:
    hole = middle(32, 32, 8)
    many = np.concatenate([images] * 3)
    assert len(many) > CHUNK
    filled = lrl.inpaint(fitted, many, hole)
    assert filled.shape == many.shape
    assert np.abs(lrl.inpaint(fitted, images[7], hole).astype(int) - filled[7]).max() <= 1
    assert np.abs(filled[7].astype(int) - filled[407]).max() <= 1
    assert lrl.inpaint(fitted, images[:0], hole).shape == (0, 32, 32, 3)


@pytest.mark.parametrize("shape", [(40, 36), (40, 36, 1), (40, 36, 3), (40, 36, 6)])
@pytest.mark.parametrize("size", [(16, 16), (64, 64)])
def test_reconstructions_are_resized_to_the_observation(shape: Any, size: Any) -> None:
    preprocessing = lrl.Preprocessing(crop=(8, 0, 0, 4), size=size)
    model = as_fitted(lrl.ae(shape, 4, backbone=MLP, preprocessing=preprocessing))
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    hole = np.zeros((40, 36), bool)
    hole[10:20, 5:20] = True
    filled = lrl.inpaint(model, image, hole)
    assert filled.dtype == np.uint8
    corrupted = np.where(hole.reshape(40, 36, *[1] * (len(shape) - 2)), 0, image).astype(np.uint8)
    restored = torch.from_numpy(model.reconstruct(corrupted).astype(np.float32).reshape(*size, -1))
    expected = F.interpolate(
        restored.permute(2, 0, 1)[None], (32, 32), mode="bilinear", antialias=True
    )
    expected = expected[0].permute(1, 2, 0).numpy().reshape(32, 32, *shape[2:])
    assert np.abs(filled[8:, :32][hole[8:, :32]] - expected[hole[8:, :32]]).max() <= 0.51
    np.testing.assert_array_equal(filled[~hole], image[~hole])


def test_greyscale_models_fill_with_grey() -> None:
    model = as_fitted(lrl.ae((32, 32, 3), 4, preprocessing=lrl.Preprocessing(greyscale=True)))
    image, hole = (
        np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8),
        middle(32, 32, 8),
    )
    filled = lrl.inpaint(model, image, hole)[hole]
    assert (filled == filled[:, :1]).all()


def test_holes_of_images_are_encoded_as_the_lowest_value() -> None:
    space = spaces.Box(-1, 1, (16, 16, 1), np.float32)
    model, hole = as_fitted(lrl.ae(space, 4, backbone=MLP)), middle(16, 16, 4)
    image = np.random.default_rng(0).uniform(-1, 1, (16, 16, 1)).astype(np.float32)
    expected = model.reconstruct(np.where(hole[..., None], -1, image).astype(np.float32))
    np.testing.assert_allclose(lrl.inpaint(model, image, hole)[hole], expected[hole], atol=1e-6)


def test_missing_values_of_vectors_are_filled(vectors: Any) -> None:
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    holes = np.arange(8) == 5
    filled = lrl.inpaint(model, np.where(holes, np.nan, vectors).astype(np.float32), holes)
    blank = np.where(holes, model.preprocess.mean.numpy(), vectors).astype(np.float32)
    np.testing.assert_allclose(filled[:, 5], model.reconstruct(blank)[:, 5], atol=1e-4)
    np.testing.assert_array_equal(filled[:, ~holes], vectors[:, ~holes])
    assert np.square(filled - vectors).mean() < np.square(blank - vectors).mean()


@pytest.mark.parametrize("batched", [False, True])
def test_holes_of_sequences(batched: bool) -> None:
    space = spaces.Box(-np.inf, np.inf, (6, 2), np.float32)
    model = as_fitted(lrl.ae(space, 3, backbone={"name": "recurrent", "hidden": 8}))
    rows = np.random.default_rng(0).standard_normal((4, 6, 2)).astype(np.float32)
    holes = np.zeros((6, 2), bool)
    holes[2:4, 1] = True
    filled = lrl.inpaint(model, rows, np.tile(holes, (4, 1, 1)) if batched else holes)
    blank = np.where(holes, 0, rows).astype(np.float32)
    np.testing.assert_allclose(filled[:, holes], model.reconstruct(blank)[:, holes], atol=1e-6)
    np.testing.assert_array_equal(filled[:, ~holes], rows[:, ~holes])


def test_integer_observations_stay_integers() -> None:
    model = as_fitted(lrl.ae(spaces.Box(0, 9, (4,), np.int64), 2, backbone=MLP))
    model.preprocess.mean.fill_(2.6)
    rows = np.array([[1, 2, 3, 4]])
    filled = lrl.inpaint(model, rows, np.array([True, False, False, False]))
    assert filled.dtype == np.int64
    assert filled[0, 0] == model.reconstruct(np.array([[3, 2, 3, 4]]))[0, 0]


def test_large_whole_numbers_stay_as_they_are(vectors: Any) -> None:
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors, progress=False)
    times = np.full((2, 8), 1_700_008_506)
    assert (lrl.inpaint(model, times, np.arange(8) == 5)[:, :5] == 1_700_008_506).all()


def test_whole_numbers_are_filled_as_floats_are(vectors: Any) -> None:
    rows = (10 * vectors).round().astype(np.float32)
    model = lrl.pca((8,), 3)
    lrl.fit(model, rows, progress=False)
    holes = np.arange(8) == 5
    filled = lrl.inpaint(model, rows.astype(np.int64), holes)
    np.testing.assert_allclose(filled, lrl.inpaint(model, rows, holes), rtol=1e-5)


def test_wrong_masks_are_refused(fitted: lrl.Autoencoder, images: Any) -> None:
    with pytest.raises(
        TypeError,
        match="expected a boolean mask of holes, True where values are missing, got uint8",
    ):
        lrl.inpaint(fitted, images, np.zeros((32, 32), np.uint8))
    with pytest.raises(
        ValueError, match=r"expected holes of shape \(32, 32\) or \(3, 32, 32\), got \(32, 32, 3\)"
    ):
        lrl.inpaint(fitted, images[:3], np.zeros((32, 32, 3), bool))
    with pytest.raises(ValueError, match=r"expected observations of shape \(B, 32, 32, 3\)"):
        lrl.inpaint(fitted, images[:3, :16], np.zeros((32, 32), bool))
    model = as_fitted(lrl.ae((32, 32, 3), 4, preprocessing=lrl.Preprocessing(crop=(8, 0, 0, 0))))
    with pytest.raises(
        ValueError,
        match="some holes lie in the region that the model crops, where it reconstructs nothing",
    ):
        lrl.inpaint(model, images, middle(32, 32, 20))
    with pytest.raises(ValueError, match="this model has not been fitted: fit it, or load one"):
        lrl.inpaint(lrl.ae((8,), 3), np.zeros((1, 8), np.float32), np.zeros(8, bool))
    with pytest.raises(TypeError, match="'random' model has no decoder"):
        lrl.inpaint(as_fitted(lrl.random((8,), 3)), np.zeros((1, 8), np.float32), np.zeros(8, bool))


MEANS = np.array([[-2.0, 0], [2, 3], [0, -9]])
STDS = np.array([[0.4, 1.8], [0.6, 0.9], [0.5, 1.5]])


def mixture(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    part = rng.integers(0, 3, count)
    return (MEANS[part] + STDS[part] * rng.standard_normal((count, 2))).astype(np.float32)


def true_score(x: Any, noise: Any) -> Any:
    """Gradient of the log density of the mixture with noise of standard deviations ``noise``."""
    points = torch.from_numpy(x).double().requires_grad_()
    scales = torch.from_numpy(np.sqrt(STDS**2 + noise**2))
    parts = torch.distributions.Independent(
        torch.distributions.Normal(torch.from_numpy(MEANS), scales), 1
    )
    even = torch.distributions.Categorical(torch.ones(3))
    density = torch.distributions.MixtureSameFamily(even, parts).log_prob(points)
    return torch.autograd.grad(density.sum(), points)[0].numpy()


def cosine(a: Any, b: Any) -> Any:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_score_field_is_the_gradient_of_the_smoothed_density() -> None:
    torch.manual_seed(0)
    model = lrl.denoising_ae((2,), 2, std=0.4, backbone={"name": "mlp", "hidden": (64, 64)})
    config = lrl.FitConfig(
        steps=600, batch_size=512, learning_rate=1e-2, precision="float32", device="cpu"
    )
    lrl.fit(model, mixture(20_000, 0), config, progress=False)
    noise = 0.4 * model.preprocess.std.numpy()
    points = mixture(2000, 1) + noise * np.random.default_rng(2).standard_normal((2000, 2)).astype(
        np.float32
    )
    scores, truth = lrl.score_field(model, points), true_score(points, noise)
    assert scores.dtype == np.float32
    assert cosine(scores, truth).mean() > 0.95
    assert (
        np.linalg.norm(scores - truth, axis=1).mean() < 0.2 * np.linalg.norm(truth, axis=1).mean()
    )
    np.testing.assert_allclose(lrl.score_field(model, points[0]), scores[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_score_fields_of_images_are_in_their_units(shape: Any) -> None:
    space = (
        spaces.Box(-1, 3, shape, np.float32)
        if len(shape) == 3
        else lrl.as_frames(gratings(2, 0)).space
    )
    model = lrl.denoising_ae(space, 4, std=0.2, backbone=MLP)
    images = space.sample()[None]
    scale = 4 if len(shape) == 3 else 255
    rounding = 0.6 / scale / 0.2**2 / scale if len(shape) == 2 else 1e-5
    expected = (model.reconstruct(images).astype(float) - images) / scale / 0.2**2 / scale
    inside = (model.reconstruct(images) > space.low) & (model.reconstruct(images) < space.high)
    assert np.abs(lrl.score_field(model, images) - expected)[inside].max() < rounding


def test_score_fields_need_a_model_trained_on_gaussian_noise(images: Any) -> None:
    for model in (lrl.ae((8,), 3), lrl.denoising_ae((8,), 3, "masking")):
        with pytest.raises(
            TypeError,
            match="a score field needs a model trained on unclipped Gaussian noise alone, which",
        ):
            lrl.score_field(model, np.zeros((1, 8), np.float32))
    for change in (
        {"crop": (1, 1, 1, 1), "size": (32, 32)},
        {"size": (16, 16)},
        {"greyscale": True},
    ):
        model = lrl.denoising_ae((32, 32, 3), 3, preprocessing=lrl.Preprocessing(**change))
        with pytest.raises(
            ValueError,
            match="a score field has one value per value of the observation: train a model that",
        ):
            lrl.score_field(model, images)
