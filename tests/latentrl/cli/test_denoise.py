"""``latentrl denoise``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import (
    BACKBONE,
    IMAGES,
    fit_and_save,
    psnr,
    read_metrics,
    tiles_in,
)


def test_corruption_of_the_training_is_measured(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--corrupt", "auto", "--seed", 3]
    use("denoise", models / "denoiser", *flags, "--out", tmp_path)
    corrupted, restored = (np.load(tmp_path / f"{name}.npy") for name in ("corrupted", "restored"))
    assert corrupted.dtype == np.uint8
    assert np.array_equal(restored, lrl.load(models / "denoiser").reconstruct(corrupted))
    noise = (corrupted.astype(float) - IMAGES)[(IMAGES > 100) & (IMAGES < 150)] / 255
    # Quartiles, because clipping at 0 and 255 does not change them.
    quartiles = np.subtract(*np.quantile(noise, [0.75, 0.25]))
    assert quartiles == pytest.approx(0.4 * 1.349, abs=0.04), "the noise of the training"
    metrics = read_metrics(tmp_path)
    assert metrics["PSNR, corrupted, dB"] == pytest.approx(psnr(corrupted, IMAGES), abs=1e-3)
    assert metrics["PSNR, restored, dB"] == pytest.approx(psnr(restored, IMAGES), abs=1e-3)
    assert metrics["PSNR, restored, dB"] > metrics["PSNR, corrupted, dB"] + 2
    for rows in (IMAGES, corrupted, restored):
        assert all(tiles_in(tmp_path / "restored.png", rows[[15, 285]]))


def test_same_seed_and_same_file_give_the_same_result(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--corrupt", "auto", "--seed", 3]
    for name in "ab":
        use("denoise", models / "denoiser", *flags, "--out", tmp_path / name)
    a, b = ((tmp_path / name / "corrupted.npy").read_bytes() for name in "ab")
    assert a == b
    files = ["--data", tmp_path / "a" / "corrupted.npy", "--clean", models / "digits.npz"]
    use("denoise", models / "denoiser", *files, "--out", tmp_path / "c")
    assert read_metrics(tmp_path / "c") == read_metrics(tmp_path / "a")


def test_corrupted_data_without_a_clean_copy(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--out", tmp_path]
    output = use("denoise", models / "denoiser", *flags)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["restored.npy", "restored.png"]
    assert "PSNR" not in output


def test_list_of_corruptions_with_and_without_parameters(models, tmp_path, use):
    corruptions = "[{name: salt_and_pepper, fraction: 0.5}, blur]"
    flags = ["--data", models / "digits.npz", "--corrupt", corruptions, "--out", tmp_path]
    use("denoise", models / "vae", *flags)
    assert np.load(tmp_path / "corrupted.npy").std() < IMAGES.std()


def test_a_model_that_learned_no_restoration_gives_a_warning(models, tmp_path, use):
    with pytest.warns(UserWarning, match="trained without corruptions, and can keep what it"):
        use("denoise", models / "vae", "--data", models / "digits.npz", "--out", tmp_path)


@pytest.mark.filterwarnings("ignore:the restored observations are farther")  # from noise
def test_greyscale_corruption_of_colour_images(tmp_path, use):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "colour.npy", images)
    options = {"latent_dim": 4, "corruption": "greyscale", "backbone": BACKBONE}
    fit_and_save(lrl.denoising_ae, images, tmp_path / "model", **options)
    flags = ["--data", tmp_path / "colour.npy", "--corrupt", "auto", "--out", tmp_path]
    use("denoise", tmp_path / "model", *flags)
    grey = np.load(tmp_path / "corrupted.npy")
    assert (grey[..., 0] == grey[..., 1]).all()
    assert np.allclose(grey[..., 0], images @ [0.299, 0.587, 0.114], atol=0.51)
    assert np.load(tmp_path / "restored.npy").shape == images.shape


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--corrupt auto", "the 'beta_vae' model was trained without corruptions: name one with"),
        ("--corrupt noise", "unknown corruption 'noise'; known: blur, cutout"),
        ("--corrupt '{name: blur'", "'{name: blur' is not YAML"),
        ("--corrupt '{sigma: 1}'", "unknown corruption ''; known"),
        ("--corrupt greyscale", "'greyscale' removes the colour of images (H, W, 3), the model"),
        ("--corrupt blur --clean digits.npz", "--data, which is then clean: omit --clean"),
        ("--clean one.npy", "one.npy has 1 observations, digits.npz 300"),
        ("--count 0", "--count must be at least 1, got 0"),
    ],
)
def test_errors(flags, message, refused):
    assert message in refused(f"denoise vae --data digits.npz {flags}")
