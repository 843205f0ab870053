"""``latentrl interpolate``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import COUNT, IMAGES, frames_of, read_metrics, tiles_in


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_paths_between_given_observations(path, models, tmp_path, use):
    ends = ["--start", 4, 0, "--end", 9, -1]
    flags = ["--data", models / "digits.npz", *ends, "--steps", 5, "--path", path]
    use("interpolate", models / "vae", *flags, "--out", tmp_path)
    model, decoded = lrl.load(models / "vae"), np.load(tmp_path / "interpolations.npy")
    assert decoded.shape == (2, 5, 8, 8)
    assert np.array_equal(decoded[1], lrl.interpolate(model, IMAGES[0], IMAGES[-1], 5, path))
    assert np.abs(decoded[0, [0, -1]].astype(int) - model.reconstruct(IMAGES[[4, 9]])).max() <= 1
    assert read_metrics(tmp_path) == {"from": "4 0", "to": f"9 {COUNT - 1}"}
    shown = [*IMAGES[[4, 9, 0, -1]], *decoded[1]]
    assert all(tiles_in(tmp_path / "interpolations.png", shown))
    assert frames_of(tmp_path / "interpolations.gif") > 20


def test_random_pairs_depend_on_the_seed(models, tmp_path, use):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        flags = ["--data", models / "digits.npz", "--seed", seed, "--out", tmp_path / name]
        use("interpolate", models / "vae", *flags)
    a, b, c = (read_metrics(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len({*a["from"].split(), *a["to"].split()}) == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "digits.npz --start 1 2 --end 3",
            "--start and --end need the same number of positions, got 2 and 1",
        ),
        ("digits.npz --start 1 --end 300", "there is no observation 300: the data has 300"),
        ("digits.npz --steps 1", "--steps must be at least 2, got 1"),
        ("digits.npz --count 0", "--count must be at least 1, got 0"),
        ("one.npy", "an interpolation needs 2 observations, got 1"),
    ],
)
def test_errors(flags, message, refused):
    assert message in refused(f"interpolate vae --data {flags}")
