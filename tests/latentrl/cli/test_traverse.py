"""``latentrl traverse``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import IMAGES, frames_of, read_image, tiles_in


def test_traversal_from_a_given_observation(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--index", -1, "--dimensions", 3, "--steps", 5]
    use("traverse", models / "vae", *flags, "--out", tmp_path)
    expected = lrl.traverse(lrl.load(models / "vae"), IMAGES[-1], 3, 5)
    assert np.array_equal(np.load(tmp_path / "traversals.npy"), expected)
    assert all(tiles_in(tmp_path / "traversals.png", expected[[0, 2], [0, 4]]))
    height, width, _ = read_image(tmp_path / "traversals.png").shape
    assert width > 5 * 98 + 100, "rows have labels"
    assert 3 * 98 < height < 4 * 98
    assert frames_of(tmp_path / "traversals.gif") > 10


def test_default_start_and_size(models, tmp_path, use):
    use("traverse", models / "vae", "--data", models / "digits.npz", "--out", tmp_path)
    assert np.load(tmp_path / "traversals.npy").shape == (6, 9, 8, 8)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--index 300", "there is no observation 300: the data has 300, from 0"),
        ("--dimensions 0", "--dimensions must be at least 1, got 0"),
        ("--steps 1", "--steps must be at least 2, got 1"),
    ],
)
def test_errors(flags, message, refused):
    assert message in refused(f"traverse vae --data digits.npz {flags}")
