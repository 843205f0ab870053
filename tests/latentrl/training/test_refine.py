"""The distance to the latents of a frozen encoder, as a term of the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.data.frames import as_frames
from latentrl.training.refine import Anchor, refined


def make(seed: int) -> lrl.Autoencoder:
    torch.manual_seed(seed)
    return lrl.beta_vae((8, 8, 3), latent_dim=3, backbone={"name": "mlp", "hidden": (5,)}).eval()


def test_the_distance_is_in_standard_deviations_of_the_old_latents() -> None:
    old, new = make(0), make(1)
    old.latent_std.copy_(torch.tensor([0.5, 2.0, 0.0]))
    frames = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3)).astype(np.uint8)
    x = new.preprocess(torch.from_numpy(frames))
    batch = new.losses(x, x, None, None, 0)[1]
    moved = (new.encode(frames) - old.encode(frames)) / np.array([0.5, 2.0, 0.01])
    expected = 3.0 * np.square(moved).sum(1).mean()
    assert Anchor(old, 3.0)(batch).item() == pytest.approx(expected, rel=1e-4)
    assert Anchor(new, 3.0)(batch).item() == pytest.approx(0, abs=1e-6)


def test_a_refined_model_is_of_the_same_kind_and_can_be_refined_again(tmp_path) -> None:
    rng = np.random.default_rng(0)
    parts = [as_frames(rng.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)) for _ in range(2)]
    config = lrl.FitConfig(steps=5, batch_size=8)
    first = make(0).requires_grad_(False)
    second = refined(first, *parts, config)
    third = refined(second.requires_grad_(False), *parts, config)
    latents = [model.encode(parts[0][:]) for model in (first, second, third)]
    assert not np.array_equal(latents[0], latents[1])
    assert not np.array_equal(latents[1], latents[2])
    lrl.save(third, tmp_path)
    assert np.array_equal(lrl.load(tmp_path, "cpu").encode(parts[0][:]), latents[2])


def test_models_without_gradient_steps_are_refused() -> None:
    frames = as_frames(np.zeros((4, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="a 'pca' encoder is not trained by gradient steps and"):
        refined(lrl.pca((8, 8, 3), latent_dim=2), frames, frames, lrl.FitConfig())
