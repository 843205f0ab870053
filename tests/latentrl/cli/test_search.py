"""``latentrl search``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from tests.latentrl.cli.helpers import COUNT, IMAGES, read_metrics, read_rows, tiles_in

DISTANCES = {"hash": "Hamming", "vae": "Euclidean"}


@pytest.mark.parametrize("name", DISTANCES)
def test_neighbours_within_the_data(name, models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--k", 3, "--count", 5, "--out", tmp_path]
    use("search", models / name, *flags)
    rows = read_rows(tmp_path / "neighbours.csv")
    assert len(rows) == 15
    latents = lrl.load(models / name).encode(IMAGES)
    if name == "vae":
        distances = np.linalg.norm(latents[:, None] - latents, axis=-1)
    else:
        distances = (latents[:, None] != latents).sum(-1)
    np.fill_diagonal(distances, distances.max() + 1)
    for row in rows:
        query, index, rank = (int(row[key]) for key in ("query", "index", "rank"))
        assert query != index
        nearest = np.sort(distances[query])[rank - 1]
        assert float(row["distance"]) == pytest.approx(nearest, rel=1e-4)
        assert distances[query, index] == pytest.approx(float(row["distance"]), rel=1e-4)
    shown = sorted({int(row[key]) for row in rows for key in ("query", "index")})
    assert all(tiles_in(tmp_path / "neighbours.png", IMAGES[shown]))


@pytest.mark.parametrize("name", DISTANCES)
def test_fraction_of_equal_labels_and_saved_latents(name, models, tmp_path, use):
    use("search", models / name, "--data", models / "digits.npz", "--out", tmp_path)
    metrics = read_metrics(tmp_path)
    assert metrics["distance"] == DISTANCES[name]
    assert metrics["same label, fraction"] > 2 * metrics["same label, chance"]
    assert metrics["same label, chance"] == pytest.approx(0.1, abs=0.01)
    if name == "hash":
        assert np.load(tmp_path / "codes.npy").shape == (COUNT, 3), "20 bits are packed"
    else:
        latents = lrl.load(models / name).encode(IMAGES)
        assert np.allclose(np.load(tmp_path / "latents.npy"), latents, atol=1e-5)


def test_queries_from_a_file(models, tmp_path, use):
    np.save(tmp_path / "query.npy", IMAGES[[17, 3]])
    files = ["--data", models / "digits.npz", "--query", tmp_path / "query.npy"]
    use("search", models / "vae", *files, "--k", 1, "--out", tmp_path)
    rows = read_rows(tmp_path / "neighbours.csv")
    found = [(row["query"], row["rank"], row["index"]) for row in rows]
    assert found == [("0", "1", "17"), ("1", "1", "3")]
    assert max(float(row["distance"]) for row in rows) < 1e-4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "search vae --data digits.npz --k 300",
            "k is a number of neighbours, from 1 to 299; got 300",
        ),
        ("search vae --data digits.npz --query one.npy --k 301", "from 1 to 300; got 301"),
        ("search hash --data digits.npz --query one.npy --k 301", "from 1 to 300; got 301"),
        ("search hash --data digits.npz --k 0", "--k must be at least 1, got 0"),
    ],
)
def test_errors(words, message, refused):
    assert message in refused(words)
