"""Data of the verbs: image files, large data, images that the model crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import latentrl as lrl
from latentrl.cli.data import Errors, positions
from tests.latentrl.cli.helpers import IMAGES, fit_and_save, read_metrics, read_rows


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


def test_a_series_is_cut_for_a_model_of_sequences(others, tmp_path, use):
    series = np.random.default_rng(0).normal(size=(60, 2))
    np.savetxt(tmp_path / "series.csv", series, delimiter=",")
    flags = ["--data", tmp_path / "series.csv", "--window", 10, "--stride", 5, "--out", tmp_path]
    use("reconstruct", others / "sequences", *flags)
    assert np.load(tmp_path / "reconstructions.npy").shape == (11, 10, 2)
    np.save(tmp_path / "series.npy", series)
    use("search", others / "sequences", *flags, "--data", tmp_path / "series.npy", "--k", 1)
    assert len(read_rows(tmp_path / "neighbours.csv")) == 8, "as many queries as are shown"
    error = use("reconstruct", others / "sequences", *flags[:2], "--out", tmp_path, fails=True)
    assert "the model takes observations of (10, 2) float32, " in error


def test_one_array_of_several_is_selected(others, tmp_path, use):
    vectors = np.random.default_rng(0).normal(size=(20, 7))
    np.savez(tmp_path / "two.npz", first=vectors, second=vectors[:5])
    flags = ["--data", tmp_path / "two.npz", "--out", tmp_path]
    use("reconstruct", others / "vectors", *flags, "--array", "second")
    assert np.load(tmp_path / "reconstructions.npy").shape == (5, 7)
    error = use("reconstruct", others / "vectors", *flags, fails=True)
    assert error.endswith(
        "holds first, second; choose one by as_frames(path, array=NAME), on the "
        "command line --array NAME\n"
    )


def test_files_of_16_bits_are_resized_to_the_model(tmp_path, use):
    rows, columns = np.mgrid[:16, :16]
    depth = (rows * np.arange(1, 41)[:, None, None] * 80 + columns).astype(np.uint16)
    fit_and_save(lrl.pca, depth, tmp_path / "model", latent_dim=2)
    Image.fromarray(np.kron(depth[3], np.ones((3, 3), np.uint16))).save(tmp_path / "large.png")
    flags = ["--data", tmp_path / "large.png", "--out", tmp_path]
    use("reconstruct", tmp_path / "model", *flags)
    restored = np.load(tmp_path / "reconstructions.npy")
    assert restored.dtype == np.uint16
    assert np.abs(restored[0].astype(int) - depth[3]).mean() < 500
    Image.fromarray(IMAGES[0]).save(tmp_path / "grey.png")
    flags[1] = tmp_path / "grey.png"
    assert "(8, 8) uint8" in use("reconstruct", tmp_path / "model", *flags, fails=True)


@pytest.mark.parametrize("verb", ["reconstruct", "denoise", "anomaly", "search", "evaluate"])
def test_a_missing_value_is_reported_by_its_place_in_the_file(verb, others, tmp_path, use):
    vectors = np.random.default_rng(0).normal(size=(900, 7))
    vectors[777, 3] = np.nan
    np.save(tmp_path / "gaps.npy", vectors)
    flags = ["--data", tmp_path / "gaps.npy", "--out", tmp_path]
    error = use(verb, others / "vectors", *flags, fails=True)
    assert "gaps.npy contains NaN or infinity, first in observation 777: drop such" in error
    use("inpaint", others / "vectors", *flags)
    assert np.isfinite(np.load(tmp_path / "filled.npy")).all(), "the remedy that the error names"
