"""``latentrl reconstruct``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from latentrl.training.health import health
from tests.latentrl.cli.helpers import IMAGES, read_image, read_metrics, tiles_in


def test_reconstructions_metrics_and_report(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--out", tmp_path, "--count", 12]
    output = use("reconstruct", models / "vae", *flags)
    model = lrl.load(models / "vae")
    decoded = model.reconstruct(IMAGES)
    assert np.array_equal(np.load(tmp_path / "reconstructions.npy"), decoded)
    state, metrics = health(model, lrl.as_frames(IMAGES)), read_metrics(tmp_path)
    assert metrics["PSNR, reconstruction, dB"] == pytest.approx(state.psnr)
    assert metrics["SSIM"] == pytest.approx(state.ssim)
    assert metrics["nll, nats"] == pytest.approx(state.reconstruction)
    assert output.startswith("reconstruct with beta_vae\n  PSNR, reconstruction, dB  ")
    names = ("reconstructions.npy", "reconstructions.png", "metrics.json")
    files = "".join(f"  {tmp_path / name}\n" for name in names)
    assert output.endswith(f"written:\n{files}")


def test_figure_has_observations_above_their_reconstructions(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--out", tmp_path, "--count", 12]
    use("reconstruct", models / "vae", *flags)
    sheet = tmp_path / "reconstructions.png"
    chosen = ((np.arange(12) + 0.5) * 25).astype(int)
    decoded = np.load(tmp_path / "reconstructions.npy")
    assert all(tiles_in(sheet, IMAGES[chosen]))
    assert all(tiles_in(sheet, decoded[chosen]))
    assert not any(tiles_in(sheet, IMAGES[chosen + 1]))
    height, width, _ = read_image(sheet).shape
    assert 6 * 96 < width < 8 * 96
    assert 6 * 96 < height < 7.5 * 96, "12 columns of three rows are folded into two lines"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "reconstruct random --data digits.npz",
            "a 'random' model has no decoder; train 'pca', 'ae' or",
        ),
        ("reconstruct vae --data nothing.npy", "nothing at nothing.npy"),
        (
            "reconstruct vae --data wide.npy",
            "the model takes observations of (8, 8) uint8, wide.npy holds (8, 9) uint8",
        ),
        ("reconstruct vae --data digits.npz --count 0", "--count must be at least 1, got 0"),
    ],
)
def test_errors(words, message, refused):
    assert message in refused(words)
