"""Data of the verbs: image files, large data, images that the model crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import latentrl as lrl
from latentrl.cli.data import Errors, positions
from tests.latentrl.cli.helpers import IMAGES, fit_and_save, read_metrics


def test_image_files_are_resized_to_the_model(models, tmp_path, use):
    for i, image in enumerate(IMAGES[:6]):
        tensor = torch.from_numpy(image)[None, None].float()
        larger = F.interpolate(tensor, scale_factor=i + 1)[0, 0]
        path = tmp_path / "data" / ("even" if i % 2 == 0 else "odd") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(larger.byte().numpy()).convert("RGB").save(path)
    use("search", models / "vae", "--data", tmp_path / "data", "--k", 1, "--out", tmp_path)
    assert "same label, fraction" in read_metrics(tmp_path), "subfolders are labels"
    use("denoise", models / "denoiser", "--data", path, "--out", tmp_path)
    assert np.load(tmp_path / "restored.npy").shape == (1, 8, 8)


def test_many_images_that_the_model_crops(tmp_path, use):
    images = np.random.default_rng(0).integers(0, 256, (2500, 16, 20), dtype=np.uint8)
    np.save(tmp_path / "many.npy", images)
    crop = lrl.Preprocessing(crop=(2, 2, 0, 4), size=(8, 8))
    fit_and_save(lrl.pca, images, tmp_path / "model", latent_dim=2, preprocessing=crop)
    for verb in ("reconstruct", "inpaint", "anomaly"):
        use(verb, tmp_path / "model", "--data", tmp_path / "many.npy", "--out", tmp_path)
    assert np.load(tmp_path / "reconstructions.npy", mmap_mode="r").shape == (2500, 8, 8)
    holes = np.load(tmp_path / "holes.npy")
    assert holes[:, 2:14, :16].any((1, 2)).all()
    assert holes.sum() == holes[:, 2:14, :16].sum(), "no hole is outside of the crop"


def test_errors_are_means_over_all_batches(others):
    model = lrl.load(others / "vectors")
    std = model.preprocess.std.numpy()
    errors = Errors(model)
    zeros = np.zeros((2, 7), np.float32)
    errors.add("a", zeros, zeros + 2 * std)
    errors.add("a", zeros, zeros)
    errors.add("nothing", zeros, zeros, np.zeros((2, 7), bool))
    assert errors.metrics() == {"RMSE, a, standard deviations": pytest.approx(2**0.5)}


def test_positions_count_from_both_ends():
    frames = lrl.as_frames(IMAGES[:5])
    assert positions([0, 4, -1], frames) == [0, 4, 4]
    with pytest.raises(ValueError, match="there is no observation -6: the data has 5, from 0"):
        positions([-6], frames)
