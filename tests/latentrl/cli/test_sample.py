"""``latentrl sample``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import read_image, tiles_in


def test_samples_depend_on_seed_and_temperature(models, tmp_path, use):
    runs = {"a": [], "b": [], "seed": ["--seed", 1], "cold": ["--temperature", 0.1]}
    for name, flags in runs.items():
        use("sample", models / "vae", "--count", 9, "--out", tmp_path / name, *flags)
    a, b, seed, cold = (np.load(tmp_path / name / "samples.npy") for name in runs)
    assert np.array_equal(a, lrl.sample(lrl.load(models / "vae"), 9))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, seed)
    assert cold.std(0).mean() < a.std(0).mean()


def test_figure_is_a_square_of_the_samples(models, tmp_path, use):
    for name in "ab":
        use("sample", models / "vae", "--count", 9, "--out", tmp_path / name)
    sheet = tmp_path / "a" / "samples.png"
    assert all(tiles_in(sheet, np.load(tmp_path / "a" / "samples.npy")))
    height, width, _ = read_image(sheet).shape
    assert 3 * 96 < height < 4 * 96
    assert 3 * 96 < width < 4 * 96
    assert sheet.read_bytes() == (tmp_path / "b" / "samples.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sample nowhere", "no model at nowhere"),
        ("sample denoiser", "the 'denoising_ae' model cannot be sampled"),
        ("sample vae --count 0", "count is a number of samples, at least 1; got 0"),
        ("sample vae --temperature 0", "must be positive, got 0.0"),
        ("sample vae --device cuda:9", "device 'cuda:9' cannot be used here"),
    ],
)
def test_errors(words, message, refused):
    assert message in refused(words)
