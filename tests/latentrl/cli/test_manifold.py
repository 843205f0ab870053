"""``latentrl manifold``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import read_image, read_metrics, tiles_in


def test_grid_of_two_dimensions(models, tmp_path, use):
    output = use("manifold", models / "vae", "--steps", 4, "--dimensions", 2, 0, "--out", tmp_path)
    expected = lrl.manifold(lrl.load(models / "vae"), 4, (2, 0))
    assert np.array_equal(np.load(tmp_path / "manifold.npy"), expected)
    assert all(tiles_in(tmp_path / "manifold.png", expected[[0, 3], [0, 3]]))
    assert 4 * 96 < read_image(tmp_path / "manifold.png").shape[0] < 5 * 96
    assert "dimension between rows     2\n" in output


def test_the_most_informative_dimensions_are_the_default(models, tmp_path, use):
    use("manifold", models / "vae", "--steps", 2, "--out", tmp_path)
    kl = lrl.load(models / "vae").latent_kl.numpy()
    metrics = read_metrics(tmp_path)
    chosen = [metrics["dimension between rows"], metrics["dimension between columns"]]
    assert chosen == np.argsort(-kl)[:2].tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("manifold denoiser", "the 'denoising_ae' model cannot be sampled"),
        ("manifold vae --steps 1", "at least 2; got 1"),
        ("manifold vae --dimensions 1 1", "two different dimensions from 0 to 5, got [1, 1]"),
    ],
)
def test_errors(words, message, refused):
    assert message in refused(words)
