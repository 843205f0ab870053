"""``latentrl inpaint``."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import latentrl as lrl
from latentrl.cli.inpaint import HOLE
from tests.latentrl.cli.helpers import COUNT, IMAGES, psnr, read_image, read_metrics, tiles_in


def test_random_holes_are_filled_and_nothing_else_changes(models, tmp_path, use):
    use("inpaint", models / "painter", "--data", models / "digits.npz", "--out", tmp_path)
    holes, filled = np.load(tmp_path / "holes.npy"), np.load(tmp_path / "filled.npy")
    assert holes.shape == (COUNT, 8, 8)
    assert holes.any((1, 2)).all()
    assert len(np.unique(holes.reshape(COUNT, -1), axis=0)) > COUNT / 4
    assert np.array_equal(filled[~holes], IMAGES[~holes])
    assert np.array_equal(filled, lrl.inpaint(lrl.load(models / "painter"), IMAGES, holes))
    around = [image[~hole].mean() for image, hole in zip(IMAGES, holes, strict=True)]
    by_mean = np.where(holes, np.array(around)[:, None, None], IMAGES)
    expected = {"the model": psnr(filled, IMAGES, holes), "a mean": psnr(by_mean, IMAGES, holes)}
    for name, value in expected.items():
        metric = read_metrics(tmp_path)[f"PSNR, holes filled by {name}, dB"]
        assert metric == pytest.approx(value, abs=1e-2)
    sheet = tmp_path / "filled.png"
    assert (read_image(sheet) == HOLE).all(-1).sum() > 10 * 12**2, "holes have a colour"
    assert all(tiles_in(sheet, [IMAGES[15], filled[15], IMAGES[285], filled[285]]))


@pytest.mark.parametrize("kind", ["npy", "png"])
def test_one_hole_mask_for_all_images(kind, models, tmp_path, use):
    hole = np.zeros((8, 8), bool)
    hole[2:5, 3:6] = True
    np.save(tmp_path / "mask.npy", hole)
    Image.fromarray(255 * hole.astype(np.uint8)).convert("RGB").save(tmp_path / "mask.png")
    flags = ["--data", models / "digits.npz", "--holes", tmp_path / f"mask.{kind}"]
    use("inpaint", models / "painter", *flags, "--out", tmp_path)
    assert (np.load(tmp_path / "holes.npy") == hole).all()


def test_missing_values_are_holes(others, tmp_path, use):
    vectors = np.load(others / "vectors.npz")["observations"]
    vectors[::3, 2] = np.nan
    np.save(tmp_path / "gaps.npy", vectors)
    flags = ["--data", tmp_path / "gaps.npy", "--out", tmp_path / "out"]
    use("inpaint", others / "vectors", *flags)
    filled = np.load(tmp_path / "out" / "filled.npy")
    assert np.array_equal(np.load(tmp_path / "out" / "holes.npy"), np.isnan(vectors))
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[:, 0], vectors[:, 0])
    assert not (tmp_path / "out" / "metrics.json").exists(), "the true values are not known"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--holes wide.npy", "expected boolean holes, True in the holes; wide.npy holds uint8"),
        (
            "--holes narrow.npy",
            "expected holes of shape (8, 8) or (300, 8, 8), narrow.npy holds (7, 8)",
        ),
        ("--holes none.npy", "none.npy has no holes: expected True, or white, where they are"),
        ("--count 0", "--count must be at least 1, got 0"),
    ],
)
def test_errors(flags, message, refused):
    assert message in refused(f"inpaint vae --data digits.npz {flags}")
