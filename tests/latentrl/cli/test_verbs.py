"""Every verb of ``scripts/autoencode.py`` from end to end, on tiny models: what it writes, says and
refuses."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F

import latentrl as lrl
from latentrl.cli import VERBS, suggestions
from latentrl.cli.base import Output
from latentrl.training.health import health
from latentrl.viz.plots import COLOURS, SHADE, Plotter
from scripts.autoencode import COMMANDS, main
from scripts.cli import run
from tests.helpers import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:the latents have collapsed")

BACKBONE = {"name": "mlp", "hidden": (48,)}
FIT = lrl.FitConfig(steps=400, batch_size=32, precision="float32", device="cpu")
COUNT = 300
DIGITS = load_digits()
IMAGES = (DIGITS.images[:COUNT] * 255 / 16).round().astype(np.uint8)
LABELS = DIGITS.target[:COUNT]


def fitted(build, data, path, **options):
    torch.manual_seed(0)
    space = lrl.as_frames(data).space
    model = build(space, **options)
    lrl.fit(model, data, FIT, progress=False)
    return lrl.save(model, path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data and a model of each kind."""
    folder = tmp_path_factory.mktemp("autoencode")
    np.savez(folder / "digits.npz", observations=IMAGES, labels=LABELS)
    fitted(lrl.beta_vae, IMAGES, folder / "vae", latent_dim=6, beta=0.3, backbone=BACKBONE)
    fitted(lrl.denoising_ae, IMAGES, folder / "denoiser", latent_dim=16, std=0.4, backbone=BACKBONE)
    fitted(lrl.inpainting_ae, IMAGES, folder / "painter", latent_dim=16, backbone=BACKBONE)
    fitted(lrl.binary_ae, IMAGES, folder / "hash", latent_dim=20, backbone=BACKBONE)
    fitted(lrl.pca, IMAGES, folder / "pca", latent_dim=8)
    lrl.save(lrl.random((8, 8), latent_dim=4), folder / "random")
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Vectors and sequences, and a model of each."""
    folder = tmp_path_factory.mktemp("others")
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((200, 3)) @ rng.standard_normal((3, 7))).astype(np.float32)
    times = np.linspace(0, 6, 10)
    waves = np.stack([np.sin(times + phase) for phase in rng.uniform(0, 6, 400)]).reshape(
        200, 10, 2
    )
    np.savez(folder / "vectors.npz", observations=vectors, labels=np.arange(200) % 2)
    np.savez(
        folder / "sequences.npz", observations=waves.astype(np.float32), labels=np.arange(200) % 2
    )
    fitted(lrl.vae, vectors, folder / "vectors", latent_dim=3, backbone=BACKBONE)
    fitted(lrl.vae, waves.astype(np.float32), folder / "sequences", latent_dim=3, backbone=BACKBONE)
    return folder


@pytest.fixture
def use(monkeypatch, capsys):
    """Return a function that runs the script and gives what it printed, or what it refused."""

    def call(verb, model, *flags, fails=False):
        monkeypatch.setattr(
            sys, "argv", ["autoencode.py", verb, "--model", str(model), *map(str, flags)]
        )
        code = 0
        try:
            run(COMMANDS, main)
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert code == (2 if fails else 0), err
        return err if fails else out

    return call


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def figures_of(folder):
    return json.loads((folder / "figures.json").read_text())


def size_of(path):
    with Image.open(path) as image:
        return image.size


def psnr(a, b, where=None):
    error = np.square((a.astype(float) - b.astype(float)) / 255)
    return -10 * np.log10(error.mean() if where is None else error[where].mean())


def colours(path, left, top, width, height):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[top : top + height, left : left + width]


# Restoring


def test_reconstruct(place, tmp_path, use):
    said = use(
        "reconstruct",
        place / "vae",
        "--data",
        place / "digits.npz",
        "--out",
        tmp_path,
        "--count",
        12,
    )
    model = lrl.load(place / "vae")
    assert np.array_equal(np.load(tmp_path / "reconstructions.npy"), model.reconstruct(IMAGES))
    state = health(model, lrl.as_frames(IMAGES))
    found = figures_of(tmp_path)
    assert found["PSNR, reconstruction, dB"] == pytest.approx(state.psnr)
    assert found["SSIM"] == pytest.approx(state.ssim)
    assert found["-log p(x | code), nats"] == pytest.approx(state.reconstruction)
    width, height = size_of(tmp_path / "reconstructions.png")
    assert width > 10 * 96
    assert height > 4 * 96, "12 are folded into two lines of observed and decoded"
    assert said.startswith("reconstruct with beta_vae\n  PSNR, reconstruction, dB  ")
    written = [
        tmp_path / name for name in ("reconstructions.npy", "reconstructions.png", "figures.json")
    ]
    assert said.endswith("written:\n" + "".join(f"  {file}\n" for file in written))


def test_results_lie_beside_the_model_by_default(place, use):
    use("sample", place / "vae", "--count", 2)
    assert np.load(place / "vae" / "sample" / "samples.npy").shape == (2, 8, 8)


def test_denoise_measures_what_it_damaged(place, tmp_path, use):
    flags = ["--data", place / "digits.npz", "--corrupt", "auto", "--seed", 3]
    use("denoise", place / "denoiser", *flags, "--out", tmp_path / "a")
    damaged, restored = (
        np.load(tmp_path / "a" / f"{name}.npy") for name in ("damaged", "restored")
    )
    assert damaged.dtype == np.uint8
    assert np.array_equal(restored, lrl.load(place / "denoiser").reconstruct(damaged))
    difference = (damaged.astype(float) - IMAGES)[(IMAGES > 100) & (IMAGES < 150)] / 255
    spread = np.subtract(
        *np.quantile(difference, [0.75, 0.25])
    )  # which clipping at 0 and 255 leaves alone
    assert spread == pytest.approx(0.4 * 1.349, abs=0.04), "the noise that it was trained on"
    found = figures_of(tmp_path / "a")
    assert found["PSNR, damaged, dB"] == pytest.approx(psnr(damaged, IMAGES), abs=1e-3)
    assert found["PSNR, restored, dB"] == pytest.approx(psnr(restored, IMAGES), abs=1e-3)
    assert found["PSNR, restored, dB"] > found["PSNR, damaged, dB"] + 2
    width, height = size_of(tmp_path / "a" / "restored.png")
    assert width > 10 * 96
    assert 3 * 96 < height < 4 * 96

    # The same again, and the same from the damaged file.
    use("denoise", place / "denoiser", *flags, "--out", tmp_path / "b")
    assert (tmp_path / "a" / "damaged.npy").read_bytes() == (
        tmp_path / "b" / "damaged.npy"
    ).read_bytes()
    given = ["--data", tmp_path / "a" / "damaged.npy", "--clean", place / "digits.npz"]
    use("denoise", place / "denoiser", *given, "--out", tmp_path / "c")
    assert figures_of(tmp_path / "c") == found


def test_denoise_as_it_is(place, tmp_path, use):
    said = use("denoise", place / "denoiser", "--data", place / "digits.npz", "--out", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["restored.npy", "restored.png"]
    assert "PSNR" not in said


def test_a_corruption_with_parameters(place, tmp_path, use):
    spec = "[{name: salt_and_pepper, fraction: 0.5}, blur]"
    use(
        "denoise",
        place / "vae",
        "--data",
        place / "digits.npz",
        "--corrupt",
        spec,
        "--out",
        tmp_path,
    )
    assert np.load(tmp_path / "damaged.npy").std() < IMAGES.std()


def test_colour_comes_back_in_colour(tmp_path, use):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "colour.npy", images)
    fitted(
        lrl.denoising_ae,
        images,
        tmp_path / "model",
        latent_dim=4,
        corruption="greyscale",
        backbone=BACKBONE,
    )
    use(
        "denoise",
        tmp_path / "model",
        "--data",
        tmp_path / "colour.npy",
        "--corrupt",
        "auto",
        "--out",
        tmp_path,
    )
    grey = np.load(tmp_path / "damaged.npy")
    assert (grey[..., 0] == grey[..., 1]).all()
    assert np.allclose(grey[..., 0], images @ [0.299, 0.587, 0.114], atol=0.51)
    assert np.load(tmp_path / "restored.npy").shape == images.shape


def test_inpaint_fills_random_holes_and_nothing_else(place, tmp_path, use):
    use("inpaint", place / "painter", "--data", place / "digits.npz", "--out", tmp_path)
    holes, filled = np.load(tmp_path / "holes.npy"), np.load(tmp_path / "filled.npy")
    assert holes.shape == (COUNT, 8, 8)
    assert holes.any((1, 2)).all()
    assert len(np.unique(holes.reshape(COUNT, -1), axis=0)) > COUNT / 4
    assert np.array_equal(filled[~holes], IMAGES[~holes])
    assert np.array_equal(filled, lrl.inpaint(lrl.load(place / "painter"), IMAGES, holes))
    around = [image[~hole].mean() for image, hole in zip(IMAGES, holes, strict=True)]
    plain = np.where(holes, np.array(around)[:, None, None], IMAGES)
    found = figures_of(tmp_path)
    assert found["PSNR, holes filled by the model, dB"] == pytest.approx(
        psnr(filled, IMAGES, holes), abs=1e-3
    )
    assert found["PSNR, holes filled by a mean, dB"] == pytest.approx(
        psnr(plain, IMAGES, holes), abs=1e-2
    )
    picture = colours(tmp_path / "filled.png", 0, 0, *size_of(tmp_path / "filled.png"))
    assert (picture == (230, 120, 60)).all(-1).any(), "holes are marked"


@pytest.mark.parametrize("kind", ["npy", "png"])
def test_inpaint_with_a_mask(kind, place, tmp_path, use):
    hole = np.zeros((8, 8), bool)
    hole[2:5, 3:6] = True
    np.save(tmp_path / "mask.npy", hole)
    Image.fromarray(255 * hole.astype(np.uint8)).convert("RGB").save(tmp_path / "mask.png")
    flags = [
        "--data",
        place / "digits.npz",
        "--holes",
        tmp_path / f"mask.{kind}",
        "--out",
        tmp_path,
    ]
    use("inpaint", place / "painter", *flags)
    assert (np.load(tmp_path / "holes.npy") == hole).all()


def test_missing_values_are_holes(others, tmp_path, use):
    vectors = np.load(others / "vectors.npz")["observations"]
    vectors[::3, 2] = np.nan
    np.save(tmp_path / "gaps.npy", vectors)
    use("inpaint", others / "vectors", "--data", tmp_path / "gaps.npy", "--out", tmp_path / "out")
    filled = np.load(tmp_path / "out" / "filled.npy")
    assert np.array_equal(np.load(tmp_path / "out" / "holes.npy"), np.isnan(vectors))
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[:, 0], vectors[:, 0])
    assert not (tmp_path / "out" / "figures.json").exists(), "nobody knows what was missing"


# Generating


def test_sample(place, tmp_path, use):
    for name, flags in {"a": [], "b": [], "c": ["--seed", 1], "d": ["--temperature", 0.1]}.items():
        use("sample", place / "vae", "--count", 9, "--out", tmp_path / name, *flags)
    a, b, c, d = (np.load(tmp_path / name / "samples.npy") for name in "abcd")
    assert np.array_equal(a, lrl.sample(lrl.load(place / "vae"), 9))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert d.std(0).mean() < a.std(0).mean()
    assert size_of(tmp_path / "a" / "samples.png") == (3 * 98 + 2, 3 * 98 + 2)
    assert (tmp_path / "a" / "samples.png").read_bytes() == (
        tmp_path / "b" / "samples.png"
    ).read_bytes()


def test_manifold(place, tmp_path, use):
    said = use("manifold", place / "vae", "--steps", 4, "--dimensions", 2, 0, "--out", tmp_path)
    expected = lrl.manifold(lrl.load(place / "vae"), 4, (2, 0))
    assert np.array_equal(np.load(tmp_path / "manifold.npy"), expected)
    assert size_of(tmp_path / "manifold.png") == (4 * 98 + 2, 4 * 98 + 2)
    assert "dimension from row to row        2\n" in said


def test_traverse(place, tmp_path, use):
    flags = [
        "--data",
        place / "digits.npz",
        "--index",
        -1,
        "--dimensions",
        3,
        "--steps",
        5,
        "--out",
        tmp_path,
    ]
    use("traverse", place / "vae", *flags)
    expected = lrl.traverse(lrl.load(place / "vae"), IMAGES[-1], 3, 5)
    assert np.array_equal(np.load(tmp_path / "traversals.npy"), expected)
    width, height = size_of(tmp_path / "traversals.png")
    assert width > 5 * 98
    assert 3 * 98 < height < 4 * 98
    with Image.open(tmp_path / "traversals.gif") as movie:
        assert movie.n_frames > 10
    use("traverse", place / "vae", "--data", place / "digits.npz", "--out", tmp_path / "chosen")
    assert np.load(tmp_path / "chosen" / "traversals.npy").shape == (6, 9, 8, 8)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolate(path, place, tmp_path, use):
    flags = [
        "--data",
        place / "digits.npz",
        "--start",
        4,
        0,
        "--end",
        9,
        -1,
        "--steps",
        5,
        "--path",
        path,
    ]
    use("interpolate", place / "vae", *flags, "--out", tmp_path)
    model, found = lrl.load(place / "vae"), np.load(tmp_path / "interpolations.npy")
    assert found.shape == (2, 5, 8, 8)
    assert np.array_equal(found[1], lrl.interpolate(model, IMAGES[0], IMAGES[-1], 5, path))
    assert np.abs(found[0, [0, -1]].astype(int) - model.reconstruct(IMAGES[[4, 9]])).max() <= 1
    assert figures_of(tmp_path) == {"from": "4 0", "to": f"9 {COUNT - 1}"}
    assert size_of(tmp_path / "interpolations.png")[0] > 7 * 98
    with Image.open(tmp_path / "interpolations.gif") as movie:
        assert movie.n_frames > 20


def test_pairs_are_drawn_by_the_seed(place, tmp_path, use):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        flags = ["--data", place / "digits.npz", "--seed", seed, "--out", tmp_path / name]
        use("interpolate", place / "vae", *flags)
    a, b, c = (figures_of(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len({*a["from"].split(), *a["to"].split()}) == 8


def test_arithmetic(place, tmp_path, use):
    np.save(tmp_path / "zeros.npy", IMAGES[LABELS == 0])
    np.save(tmp_path / "others.npy", IMAGES[LABELS != 0])
    flags = ["--data", place / "digits.npz", "--strength", -1, 0, 1, "--count", 5]
    use("arithmetic", place / "vae", *flags, "--label", 0, "--out", tmp_path / "a")
    sides = ["--having", tmp_path / "zeros.npy", "--lacking", tmp_path / "others.npy"]
    use("arithmetic", place / "vae", *flags, *sides, "--out", tmp_path / "b")
    model = lrl.load(place / "vae")
    codes = model.encode(IMAGES)
    direction = np.load(tmp_path / "a" / "direction.npy")
    assert np.allclose(
        direction, codes[LABELS == 0].mean(0) - codes[LABELS != 0].mean(0), atol=1e-5
    )
    assert np.array_equal(direction, np.load(tmp_path / "b" / "direction.npy"))
    changed = np.load(tmp_path / "a" / "arithmetic.npy")
    assert changed.shape == (5, 3, 8, 8)
    reconstructed = model.reconstruct(IMAGES[LABELS != 0]).astype(int)
    assert all(np.abs(reconstructed - image).max((1, 2)).min() <= 1 for image in changed[:, 1])
    towards = [model.encode(changed[:, k]) @ direction for k in range(3)]
    assert (towards[0] < towards[1]).all()
    assert (towards[1] < towards[2]).all()
    assert size_of(tmp_path / "a" / "arithmetic.png")[0] > 4 * 98


# Finding


@pytest.fixture
def spoilt(place, tmp_path):
    """Digits of which every tenth is noise, with labels that say which."""
    rng = np.random.default_rng(0)
    images, anomalous = IMAGES.copy(), np.arange(COUNT) % 10 == 9
    images[anomalous] = rng.integers(0, 256, images[anomalous].shape)
    np.savez(tmp_path / "spoilt.npz", observations=images, labels=np.where(anomalous, 7, 1))
    np.save(tmp_path / "which.npy", anomalous.astype(int))
    return images, anomalous


@pytest.mark.parametrize(
    "flags", [["--anomalous-label", 7], ["--labels", "which.npy"]], ids=["label", "file"]
)
def test_anomaly(flags, place, spoilt, tmp_path, use, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, anomalous = spoilt
    given = ["--data", "spoilt.npz", "--out", "out", "--false-alarm-rate", 0.05, *flags]
    said = use("anomaly", place / "pca", *given)
    rows, found = rows_of(tmp_path / "out" / "scores.csv"), figures_of(tmp_path / "out")
    index = np.array([int(row["index"]) for row in rows])
    assert len(rows) == found["judged"] == COUNT - 54, (
        "a fifth of the normal ones sets the threshold"
    )
    assert set(np.flatnonzero(anomalous)) <= set(index.tolist())
    scores = lrl.AnomalyDetector(lrl.load(place / "pca")).score(images)
    assert np.allclose([float(row["score"]) for row in rows], scores[index], rtol=1e-4)
    alarms = np.array([row["is_anomaly"] == "1" for row in rows])
    assert np.array_equal(alarms, scores[index] > found["threshold, nats"])
    assert found["AUROC"] == lrl.auroc(scores[index], anomalous[index]) > 0.99
    assert found["share of anomalies found"] == alarms[anomalous[index]].mean() > 0.9
    assert found["false-alarm rate"] == alarms[~anomalous[index]].mean() < 0.15
    maps = np.load(tmp_path / "out" / "maps.npy")
    assert maps.shape == (len(rows), 8, 8)
    assert np.allclose(maps.sum((1, 2)), scores[index], rtol=1e-3), "in the order of the scores"
    assert list(rows[0]) == ["index", "score", "is_anomaly"]
    assert (
        "without --normal, 54 observations drawn from --data set the threshold, all labelled normal\n"
        in said
    )
    assert size_of(tmp_path / "out" / "anomalies.png")[0] > 10 * 96


def test_anomaly_by_normal_observations(place, spoilt, tmp_path, use):
    flags = ["--data", tmp_path / "spoilt.npz", "--normal", place / "digits.npz", "--out", tmp_path]
    said = use("anomaly", place / "pca", *flags)
    assert len(rows_of(tmp_path / "scores.csv")) == COUNT
    detector = lrl.AnomalyDetector(lrl.load(place / "pca")).calibrate(IMAGES)
    assert figures_of(tmp_path)["threshold, nats"] == pytest.approx(detector.threshold)
    assert figures_of(tmp_path)["calibrated on"] == COUNT
    assert "AUROC" not in said
    assert "without --normal" not in said


def test_anomaly_says_that_it_calibrates_on_what_it_judges(place, tmp_path, use):
    given = ["--data", place / "digits.npz", "--false-alarm-rate", 0.05, "--out", tmp_path]
    note = "without --normal, 60 observations drawn from --data set the threshold; anomalies among them raise it"
    assert f"\n{note}, so that fewer are found\nwritten:\n" in use("anomaly", place / "pca", *given)
    index = [int(row["index"]) for row in rows_of(tmp_path / "scores.csv")]
    assert len(index) == 240
    expected = lrl.AnomalyDetector(lrl.load(place / "pca")).map(IMAGES[index])
    assert np.allclose(np.load(tmp_path / "maps.npy"), expected, rtol=1e-4, atol=1e-4)


def test_anomaly_of_sequences_names_the_step(others, tmp_path, use):
    waves = np.load(others / "sequences.npz")["observations"]
    spoilt, steps = waves.copy(), np.arange(200) % 10
    spoilt[np.arange(200), steps] += 30
    np.save(tmp_path / "spoilt.npy", spoilt)
    given = [
        "--data",
        tmp_path / "spoilt.npy",
        "--normal",
        others / "sequences.npz",
        "--out",
        tmp_path,
    ]
    use("anomaly", others / "sequences", *given, "--count", 4)
    rows, maps = rows_of(tmp_path / "scores.csv"), np.load(tmp_path / "maps.npy")
    assert list(rows[0]) == ["index", "score", "is_anomaly", "worst_step"]
    worst = np.array([int(row["worst_step"]) for row in rows])
    assert np.array_equal(worst, maps.argmax(1))
    assert (worst == steps).mean() > 0.8
    assert maps.shape == (200, 10)
    picture = colours(tmp_path / "anomalies.png", 0, 0, *size_of(tmp_path / "anomalies.png"))
    assert (picture == SHADE).all(-1).sum() > 100, "steps are shaded"


@pytest.mark.parametrize("name", ["hash", "vae"])
def test_search_among_the_data(name, place, tmp_path, use):
    use(
        "search",
        place / name,
        "--data",
        place / "digits.npz",
        "--k",
        3,
        "--count",
        5,
        "--out",
        tmp_path,
    )
    rows = rows_of(tmp_path / "neighbours.csv")
    assert len(rows) == 15
    codes = lrl.load(place / name).encode(IMAGES)
    far = (
        np.linalg.norm(codes[:, None] - codes, axis=-1)
        if name == "vae"
        else (codes[:, None] != codes).sum(-1)
    )
    np.fill_diagonal(far, far.max() + 1)
    for row in rows:
        query, index, rank = (int(row[key]) for key in ("query", "index", "rank"))
        assert query != index
        assert float(row["distance"]) == pytest.approx(np.sort(far[query])[rank - 1], rel=1e-4)
        assert far[query, index] == pytest.approx(float(row["distance"]), rel=1e-4)
    found = figures_of(tmp_path)
    assert found["distance"] == {"hash": "Hamming", "vae": "Euclidean"}[name]
    assert found["neighbours of the same label"] > 2 * found["same label by chance"]
    assert found["same label by chance"] == pytest.approx(0.1, abs=0.01)
    assert size_of(tmp_path / "neighbours.png")[0] > 4 * 98
    packed = np.load(tmp_path / "codes.npy")
    assert packed.shape == {"hash": (COUNT, 3), "vae": (COUNT, 6)}[name]


def test_search_for_others(place, tmp_path, use):
    np.save(tmp_path / "query.npy", IMAGES[[17, 3]])
    flags = [
        "--data",
        place / "digits.npz",
        "--query",
        tmp_path / "query.npy",
        "--k",
        1,
        "--out",
        tmp_path,
    ]
    use("search", place / "vae", *flags)
    rows = rows_of(tmp_path / "neighbours.csv")
    assert [(row["query"], row["rank"], row["index"]) for row in rows] == [
        ("0", "1", "17"),
        ("1", "1", "3"),
    ]
    assert max(float(row["distance"]) for row in rows) < 1e-4


# Judging


def test_evaluate(place, tmp_path, use):
    said = use("evaluate", place / "vae", "--data", place / "digits.npz", "--out", tmp_path)
    model = lrl.load(place / "vae")
    state, found = health(model, lrl.as_frames(IMAGES)), figures_of(tmp_path)
    assert found["loss, nats"] == pytest.approx(state.loss)
    assert found["KL, nats"] == pytest.approx(state.kl.sum())
    assert found["active units"] == state.active_units
    rows = rows_of(tmp_path / "dimensions.csv")
    assert [float(row["kl_nats"]) for row in rows] == pytest.approx(state.kl.tolist(), rel=1e-4)
    assert [float(row["variance"]) for row in rows] == pytest.approx(
        state.variance.tolist(), rel=1e-3
    )
    for name in ("dimensions.png", "factors.png"):
        assert min(size_of(tmp_path / name)) > 60
    assert "SSIM" in said
    assert "mig" not in said, "one label is too few"


def test_evaluate_with_factors(place, tmp_path, use):
    bright = IMAGES.mean((1, 2)) > np.median(IMAGES.mean((1, 2)))
    factors = np.stack([LABELS, np.zeros(COUNT, int), bright], 1)
    np.save(tmp_path / "factors.npy", factors)
    flags = [
        "--data",
        place / "digits.npz",
        "--labels",
        tmp_path / "factors.npy",
        "--metrics",
        "mig",
        "sap",
    ]
    use("evaluate", place / "random", *flags, "--out", tmp_path)
    found = figures_of(tmp_path)
    assert {"mig", "sap", "active units", "observations"} == set(found), (
        "a random encoder has no other figures"
    )
    assert 0 <= found["mig"] <= 1


# All of them


@pytest.mark.parametrize("kind", ["vectors", "sequences"])
@pytest.mark.parametrize("verb", list(VERBS))
def test_what_is_no_image_gives_arrays_and_plots(verb, kind, others, tmp_path, use):
    flags = [] if verb in ("sample", "manifold") else ["--data", others / f"{kind}.npz"]
    special = {"arithmetic": ["--label", 1], "denoise": ["--corrupt", "gaussian_noise"]}
    special["anomaly"] = ["--false-alarm-rate", 0.05]
    said = use(verb, others / kind, *flags, *special.get(verb, []), "--out", tmp_path / "out")
    written = {file.suffix for file in (tmp_path / "out").iterdir()}
    assert {".npy", ".csv"} & written
    assert ".png" in written
    assert ".gif" not in written
    movie = {"traverse": "traversals", "interpolate": "interpolations"}.get(verb)
    assert ("no picture:" in said) == (movie is not None)
    assert movie is None or f"\nno picture: {movie}.gif, which only images have\n" in said
    for picture in (tmp_path / "out").glob("*.png"):
        drawn = colours(picture, 0, 0, *size_of(picture))
        assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 5


@pytest.fixture
def plotter(others):
    """A plotter of sequences whose scale goes from -2 to 2 standard deviations."""
    model = lrl.load(others / "sequences")
    mean, std = (part.cpu().numpy() for part in (model.preprocess.mean, model.preprocess.std))
    return Plotter(model, np.stack([np.broadcast_to(mean + z * std, (10, 2)) for z in (-2, 2)]))


def test_curves_lie_where_their_values_are(plotter):
    assert (plotter.low, plotter.high) == pytest.approx((-2, 2))
    strong = np.zeros((10, 2))
    strong[:, 1] = np.linspace(-2, 2, 10)
    picture = plotter.plot((200, 101), strong, shade=np.eye(10)[3]).astype(int)
    assert np.abs(picture[50:51, 20:60] - COLOURS[0]).sum(-1).min(0).max() < 100, (
        "zero is in the middle"
    )
    rising = np.abs(picture - COLOURS[1]).sum(-1)[:, [20, 175]].argmin(0)
    assert rising[0] > 85
    assert rising[1] < 15
    shaded = np.flatnonzero((picture[3] == SHADE).all(-1))
    assert (shaded.min(), shaded.max()) == pytest.approx((6 + 3 * 18.8, 6 + 4 * 18.8), abs=1.5)


def test_curves_have_gaps_where_values_are_missing(plotter):
    strong = np.ones((10, 1))
    strong[4:7] = np.nan
    whole, broken = (plotter.plot((200, 100), curve) for curve in (np.ones((10, 1)), strong))
    differs = np.flatnonzero((whole != broken).any((0, 2)))
    assert differs.min() > 6 + 3 * 18.8
    assert differs.max() < 6 + 8 * 18.8
    assert len(differs) > 60


def test_the_pale_curve_is_below_and_far_ones_leave_the_plot(plotter):
    same = plotter.plot((200, 101), np.zeros((10, 1)), np.zeros((10, 1)))
    alone = plotter.plot((200, 101), np.zeros((10, 1)))
    assert (same != alone).any()
    near = np.abs(same.astype(int) - COLOURS[0]).sum(-1).min(0)
    assert near[20:180].max() < 120, "the strong one is seen on it"
    plotter.plot((200, 100), np.full((10, 1), 1e30))
    assert Plotter(plotter.model, np.full((1, 10, 2), 1e30, np.float32)).high == 10


def test_flags_from_a_file(place, tmp_path, use):
    (tmp_path / "mine.yaml").write_text("count: 3\nseed: 5\n")
    use(
        "sample", place / "vae", "--config", tmp_path / "mine.yaml", "--count", 2, "--out", tmp_path
    )
    assert np.array_equal(
        np.load(tmp_path / "samples.npy"), lrl.sample(lrl.load(place / "vae"), 2, seed=5)
    )


def test_images_in_files_are_brought_to_the_size_of_the_model(place, tmp_path, use):
    for i, image in enumerate(IMAGES[:6]):
        larger = F.interpolate(torch.from_numpy(image)[None, None].float(), scale_factor=i + 1)[
            0, 0
        ]
        path = tmp_path / "data" / ("even" if i % 2 == 0 else "odd") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(larger.byte().numpy()).convert("RGB").save(path)
    use("search", place / "vae", "--data", tmp_path / "data", "--k", 1, "--out", tmp_path)
    assert "neighbours of the same label" in figures_of(tmp_path)
    use("denoise", place / "denoiser", "--data", path, "--out", tmp_path)
    assert np.load(tmp_path / "restored.npy").shape == (1, 8, 8)


def test_large_images_and_many_of_them(tmp_path, use, capsys):
    images = np.random.default_rng(0).integers(0, 256, (2500, 16, 20), dtype=np.uint8)
    np.save(tmp_path / "many.npy", images)
    pre = lrl.Preprocessing(crop=(2, 2, 0, 4), size=(8, 8))
    fitted(lrl.pca, images, tmp_path / "model", latent_dim=2, preprocessing=pre)
    for verb in ("reconstruct", "inpaint", "anomaly"):
        use(verb, tmp_path / "model", "--data", tmp_path / "many.npy", "--out", tmp_path)
    assert np.load(tmp_path / "reconstructions.npy", mmap_mode="r").shape == (2500, 8, 8)
    holes = np.load(tmp_path / "holes.npy")
    assert holes[:, 2:14, :16].any((1, 2)).all()
    assert holes.sum() == holes[:, 2:14, :16].sum(), "no hole lies where the model crops"


def test_a_failure_leaves_what_was_there(tmp_path, place):
    output = Output(tmp_path, lrl.load(place / "vae"))
    output.array("numbers.npy", np.arange(3))

    def broken():
        yield np.arange(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        output.stream("numbers.npy", broken(), 4, lrl.as_frames(np.zeros((4, 2))).space)
    assert np.load(tmp_path / "numbers.npy").tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.npy"]


def test_what_is_suggested_works(place, tmp_path, use):
    for name in ("vae", "denoiser", "painter", "hash", "pca", "random"):
        words = suggestions(lrl.load(place / name), place / name, place / "digits.npz")
        assert words[0][0] == ("search" if name == "random" else "reconstruct")
        for verb, flag, model, *rest in words[-1:]:
            assert flag == "--model"
            use(verb, model, *rest, "--out", tmp_path / name)


def test_the_script_itself(place, tmp_path):
    command = [
        sys.executable,
        ROOT / "scripts" / "autoencode.py",
        "sample",
        "--model",
        place / "pca",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: a 'pca' model cannot be sampled: its codes follow no known distribution; "
        "train 'vae' or another of the VAE family\n"
    )
    assert not list(tmp_path.iterdir())


MISTAKES = [
    (
        "reconstruct random --data digits.npz",
        "a 'random' model has no decoder; train 'pca', 'ae' or",
    ),
    ("manifold denoiser", "a 'denoising_ae' model cannot be sampled"),
    ("sample nowhere", "no model at nowhere"),
    ("reconstruct vae --data nothing.npy", "nothing at nothing.npy"),
    (
        "reconstruct vae --data wide.npy",
        "the model takes observations of (8, 8) uint8, wide.npy holds (8, 9) uint8",
    ),
    ("reconstruct vae --data digits.npz --count 0", "count must be at least 1, got 0"),
    ("sample vae --count 0", "count is a number of samples, at least 1; got 0"),
    (
        "sample vae --temperature 0",
        "temperature is a standard deviation and must be positive, got 0.0",
    ),
    ("sample vae --device cuda:9", "device 'cuda:9' cannot be used here"),
    ("manifold vae --steps 1", "steps counts the positions from end to end, at least 2; got 1"),
    ("manifold vae --dimensions 1 1", "two different dimensions from 0 to 5, got [1, 1]"),
    (
        "traverse vae --data digits.npz --index 300",
        "there is no observation 300: the data has 300, from 0",
    ),
    ("traverse vae --data digits.npz --dimensions 0", "dimensions must be at least 1, got 0"),
    ("traverse vae --data digits.npz --steps 1", "steps must be at least 2, got 1"),
    (
        "interpolate vae --data digits.npz --start 1 2 --end 3",
        "start and end need as many positions, got 2 and 1",
    ),
    ("interpolate vae --data one.npy", "an interpolation needs 2 observations, got 1"),
    (
        "arithmetic vae --data digits.npz",
        "name the property by --having FILE and --lacking FILE, or by --label N",
    ),
    (
        "arithmetic vae --data digits.npz --having one.npy",
        "name the property by --having FILE and --lacking FILE",
    ),
    (
        "arithmetic vae --data digits.npz --label 11",
        "--label must be one of several in the data: 0 1 2",
    ),
    ("arithmetic vae --data one.npy --label 1", "one.npy comes without labels: give --labels FILE"),
    (
        "arithmetic vae --data digits.npz --label 1 --labels factors.npy",
        "has 2 factors: choose one by --factor 0 to 1",
    ),
    (
        "arithmetic vae --data digits.npz --label 1 --labels factors.npy --factor 2",
        "has factors 0 to 1, not 2",
    ),
    (
        "arithmetic vae --data digits.npz --label 1 --labels short.npy",
        "short.npy has 3 labels for 300 observations",
    ),
    (
        "denoise vae --data digits.npz --corrupt auto",
        "a 'beta_vae' model was trained without damage: name it",
    ),
    (
        "denoise vae --data digits.npz --corrupt noise",
        "unknown corruption 'noise'; known: blur, cutout",
    ),
    ("denoise vae --data digits.npz --corrupt '{name: blur'", "'{name: blur' is no YAML"),
    ("denoise vae --data digits.npz --corrupt '{sigma: 1}'", "unknown corruption ''; known"),
    (
        "denoise vae --data digits.npz --corrupt greyscale",
        "'greyscale' takes the colour from images (H, W, 3)",
    ),
    ("denoise vae --data digits.npz --corrupt blur --clean digits.npz", "leave --clean out"),
    ("denoise vae --data digits.npz --clean one.npy", "one.npy has 1 observations, digits.npz 300"),
    (
        "inpaint vae --data digits.npz --holes wide.npy",
        "holes are booleans, True where values are missing; wide.npy",
    ),
    (
        "inpaint vae --data digits.npz --holes narrow.npy",
        "holes are of shape (8, 8) or (300, 8, 8), those of",
    ),
    (
        "inpaint vae --data digits.npz --holes none.npy",
        "none.npy has no holes: what is missing is True, or white",
    ),
    (
        "anomaly vae --data digits.npz --false-alarm-rate 2",
        "false_alarm_rate is a share between 0 and 1, got 2.0",
    ),
    (
        "anomaly vae --data digits.npz --anomalous-label 11",
        "the labels make 0 of 300 observations anomalies",
    ),
    (
        "anomaly vae --data one.npy --anomalous-label 1",
        "one.npy comes without labels, so --anomalous-label",
    ),
    ("anomaly vae --data one.npy", "needs at least 99 normal observations to calibrate, got 0"),
    (
        "search vae --data digits.npz --k 300",
        "k is a number of others to find, from 1 to 299; got 300",
    ),
    (
        "search vae --data digits.npz --query one.npy --k 301",
        "k is a number of observations to find, from 1 to",
    ),
    (
        "search hash --data digits.npz --query one.npy --k 301",
        "k is a number of observations to find, from 1 to",
    ),
    ("search hash --data digits.npz --k 0", "k must be at least 1, got 0"),
    ("evaluate vae --data digits.npz --metrics mog", "unknown metric 'mog'; known: beta_vae, dci"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_mistakes_get_one_clear_line(words, message, place, tmp_path, use, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"wide": np.zeros((3, 8, 9), np.uint8), "one": IMAGES[:1], "short": np.arange(3)}
    arrays |= {
        "factors": np.stack([LABELS, LABELS], 1),
        "narrow": np.ones((7, 8), bool),
        "none": np.zeros((8, 8), bool),
    }
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    Path("digits.npz").symlink_to(place / "digits.npz")
    verb, model, *flags = shlex.split(words)
    path = place / model if (place / model).exists() else Path(model)
    said = use(verb, path, *flags, "--out", "out", fails=True)
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert not Path("out").exists()
