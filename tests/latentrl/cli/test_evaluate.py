"""``latentrl evaluate``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from latentrl.training.health import health
from tests.latentrl.cli.helpers import COUNT, IMAGES, LABELS, read_image, read_metrics, read_rows


def test_metrics_of_model_and_dimensions(models, tmp_path, use):
    output = use("evaluate", models / "vae", "--data", models / "digits.npz", "--out", tmp_path)
    model = lrl.load(models / "vae")
    state, metrics = health(model, lrl.as_frames(IMAGES)), read_metrics(tmp_path)
    assert metrics["loss, nats"] == pytest.approx(state.loss)
    assert metrics["KL, nats"] == pytest.approx(state.kl.sum())
    assert metrics["active units"] == state.active_units
    rows = read_rows(tmp_path / "dimensions.csv")
    assert [float(row["kl_nats"]) for row in rows] == pytest.approx(state.kl.tolist(), rel=1e-4)
    variance = [float(row["variance"]) for row in rows]
    assert variance == pytest.approx(state.variance.tolist(), rel=1e-3)
    for name in ("dimensions.png", "factors.png"):
        assert read_image(tmp_path / name).std() > 5
    assert "SSIM" in output
    assert "mig" not in output, "one label is not enough"


def test_disentanglement_of_a_model_without_decoder(models, tmp_path, use):
    bright = IMAGES.mean((1, 2)) > np.median(IMAGES.mean((1, 2)))
    np.save(tmp_path / "factors.npy", np.stack([LABELS, np.zeros(COUNT, int), bright], 1))
    files = ["--data", models / "digits.npz", "--labels", tmp_path / "factors.npy"]
    flags = [*files, "--metrics", "mig", "sap", "--out", tmp_path]
    use("evaluate", models / "random", *flags)
    metrics = read_metrics(tmp_path)
    assert {"mig", "sap", "active units", "observations"} == set(metrics)
    assert 0 <= metrics["mig"] <= 1


def test_errors(refused):
    words = "evaluate vae --data digits.npz --metrics mog"
    assert "unknown metric 'mog'; known: beta_vae, dci" in refused(words)
