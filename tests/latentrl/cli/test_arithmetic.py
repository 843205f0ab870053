"""``latentrl arithmetic``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import IMAGES, LABELS, read_metrics, tiles_in


@pytest.fixture
def flags(models):
    return ["--data", models / "digits.npz", "--strength", -1, 0, 1, "--count", 5]


def test_direction_is_the_same_from_a_label_and_from_two_files(flags, models, tmp_path, use):
    np.save(tmp_path / "zeros.npy", IMAGES[LABELS == 0])
    np.save(tmp_path / "others.npy", IMAGES[LABELS != 0])
    use("arithmetic", models / "vae", *flags, "--label", 0, "--out", tmp_path / "a")
    files = ["--positive", tmp_path / "zeros.npy", "--negative", tmp_path / "others.npy"]
    use("arithmetic", models / "vae", *flags, *files, "--out", tmp_path / "b")
    latents = lrl.load(models / "vae").encode(IMAGES)
    a, b = (np.load(tmp_path / name / "direction.npy") for name in "ab")
    expected = latents[LABELS == 0].mean(0) - latents[LABELS != 0].mean(0)
    assert np.allclose(a, expected, atol=1e-5)
    assert np.array_equal(a, b)
    zeros = int((LABELS == 0).sum())
    metrics = read_metrics(tmp_path / "b")
    assert metrics["positive observations"] == zeros
    assert metrics["negative observations"] == 300 - zeros
    assert metrics["length of the direction"] == pytest.approx(np.linalg.norm(a))


def test_latents_move_along_the_direction(flags, models, tmp_path, use):
    use("arithmetic", models / "vae", *flags, "--label", 0, "--out", tmp_path)
    model, direction = lrl.load(models / "vae"), np.load(tmp_path / "direction.npy")
    changed = np.load(tmp_path / "arithmetic.npy")
    assert changed.shape == (5, 3, 8, 8)
    decoded = model.reconstruct(IMAGES[LABELS != 0]).astype(int)
    assert all(np.abs(decoded - image).max((1, 2)).min() <= 1 for image in changed[:, 1])
    along = [model.encode(changed[:, k]) @ direction for k in range(3)]
    assert (along[0] < along[1]).all()
    assert (along[1] < along[2]).all()
    assert all(tiles_in(tmp_path / "arithmetic.png", changed.reshape(-1, 8, 8)))


BY_FILE = "name the property with --positive FILE and --negative FILE, or with --label N"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("digits.npz", BY_FILE),
        ("digits.npz --positive one.npy", BY_FILE),
        ("digits.npz --positive one.npy --negative one.npy --label 1", BY_FILE),
        ("digits.npz --label 11", "--label to be one of several in the data, 0 1 2"),
        ("one.npy --label 1", "one.npy has no labels: give --labels FILE, or --positive"),
        (
            "digits.npz --label 1 --labels factors.npy",
            "has 2 factors: select one with --factor 0 to 1",
        ),
        ("digits.npz --label 1 --labels factors.npy --factor 2", "has factors 0 to 1, not 2"),
        (
            "digits.npz --label 1 --labels short.npy",
            "short.npy has 3 labels for 300 observations",
        ),
        ("digits.npz --label 1 --count 0", "--count must be at least 1, got 0"),
    ],
)
def test_errors(flags, message, refused):
    assert message in refused(f"arithmetic vae --data {flags}")
