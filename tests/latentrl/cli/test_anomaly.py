"""``latentrl anomaly``."""

from __future__ import annotations

import numpy as np
import pytest

import latentrl as lrl
from latentrl.cli.anomaly import BRIGHTEST, Anomaly
from latentrl.viz.images import colormap
from tests.latentrl.cli.helpers import COUNT, IMAGES, read_image, read_metrics, read_rows


@pytest.fixture
def mixed(tmp_path):
    """Digits of which every tenth is noise, and a mask of the noise, bool (N,)."""
    rng = np.random.default_rng(0)
    images, anomalous = IMAGES.copy(), np.arange(COUNT) % 10 == 9
    images[anomalous] = rng.integers(0, 256, images[anomalous].shape)
    np.savez(tmp_path / "mixed.npz", observations=images, labels=np.where(anomalous, 7, 1))
    np.save(tmp_path / "which.npy", anomalous.astype(int))
    return images, anomalous


@pytest.mark.parametrize(
    "flags", [["--anomalous-label", 7], ["--labels", "which.npy"]], ids=["label", "file"]
)
def test_detection_with_labels(flags, models, mixed, tmp_path, use, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, anomalous = mixed
    data = ["--data", "mixed.npz", "--out", "out", "--false-alarm-rate", 0.05]
    output = use("anomaly", models / "pca", *data, *flags)
    rows, metrics = read_rows(tmp_path / "out" / "scores.csv"), read_metrics(tmp_path / "out")
    index = np.array([int(row["index"]) for row in rows])
    # A fifth of the 270 normal observations sets the threshold.
    assert len(rows) == metrics["observations scored"] == COUNT - 54
    assert set(np.flatnonzero(anomalous)) <= set(index.tolist())
    scores = lrl.AnomalyDetector(lrl.load(models / "pca")).score(images)
    assert np.allclose([float(row["score"]) for row in rows], scores[index], rtol=1e-4)
    alarms = np.array([row["is_anomaly"] == "1" for row in rows])
    assert np.array_equal(alarms, scores[index] > metrics["threshold, nats"])
    assert metrics["AUROC"] == lrl.auroc(scores[index], anomalous[index]) > 0.99
    assert metrics["recall"] == alarms[anomalous[index]].mean() > 0.9
    assert metrics["false-alarm rate"] == alarms[~anomalous[index]].mean() < 0.15
    assert list(rows[0]) == ["index", "score", "is_anomaly"]
    note = "without --normal, 54 observations of --data set the threshold, all of them labelled"
    assert f"\n{note} normal\n" in output


def test_maps_sum_to_the_scores_and_are_drawn(models, mixed, tmp_path, use):
    flags = ["--data", tmp_path / "mixed.npz", "--anomalous-label", 7, "--out", tmp_path]
    use("anomaly", models / "pca", *flags, "--false-alarm-rate", 0.05)
    rows = read_rows(tmp_path / "scores.csv")
    scores = np.array([float(row["score"]) for row in rows])
    maps = np.load(tmp_path / "maps.npy")
    assert maps.shape == (len(rows), 8, 8)
    assert np.allclose(maps.sum((1, 2)), scores, rtol=1e-3), "in the same order"
    worst = maps[np.argsort(-scores, kind="stable")[:10]]
    colours = colormap(worst, float(worst.min()), float(np.quantile(worst, BRIGHTEST)))
    drawn = {tuple(pixel) for pixel in read_image(tmp_path / "anomalies.png").reshape(-1, 3)}
    assert {tuple(pixel) for pixel in colours.reshape(-1, 3)} <= drawn


def test_threshold_from_normal_observations(models, mixed, tmp_path, use):
    files = ["--data", tmp_path / "mixed.npz", "--normal", models / "digits.npz"]
    output = use("anomaly", models / "pca", *files, "--out", tmp_path)
    assert len(read_rows(tmp_path / "scores.csv")) == COUNT
    detector = lrl.AnomalyDetector(lrl.load(models / "pca")).calibrate(IMAGES)
    assert read_metrics(tmp_path)["threshold, nats"] == pytest.approx(detector.threshold)
    assert read_metrics(tmp_path)["observations for calibration"] == COUNT
    assert "AUROC" not in output
    assert "without --normal" not in output


def test_note_about_calibration_on_the_data_itself(models, tmp_path, use):
    flags = ["--data", models / "digits.npz", "--false-alarm-rate", 0.05, "--out", tmp_path]
    note = (
        "without --normal, 60 observations of --data set the threshold; "
        "anomalies among them raise it, so that fewer are found"
    )
    assert f"\n{note}\nwritten:\n" in use("anomaly", models / "pca", *flags)
    index = [int(row["index"]) for row in read_rows(tmp_path / "scores.csv")]
    assert len(index) == 240
    expected = lrl.AnomalyDetector(lrl.load(models / "pca")).map(IMAGES[index])
    assert np.allclose(np.load(tmp_path / "maps.npy"), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def detector(models):
    """A detector with references among the digits."""
    model = lrl.load(models / "pca", "cpu")
    return lrl.AnomalyDetector(model, false_alarm_rate=0.05).fit(IMAGES, calibration=IMAGES)


def test_references_given_by_their_file(models, detector, mixed, tmp_path, use):
    files = ["--data", tmp_path / "mixed.npz", "--normal", models / "digits.npz"]
    flags = ["--training", models / "digits.npz", "--out", tmp_path, "--false-alarm-rate", 0.05]
    use("anomaly", models / "pca", *files, *flags)
    scores = [float(row["score"]) for row in read_rows(tmp_path / "scores.csv")]
    assert np.allclose(scores, detector.score(mixed[0]), rtol=1e-3, atol=1e-4)
    metrics = read_metrics(tmp_path)
    assert metrics["threshold, standard deviations"] == pytest.approx(detector.threshold)


def test_references_of_a_saved_detector(models, detector, mixed, tmp_path, use):
    detector.save(tmp_path / "saved")
    files = ["--data", tmp_path / "mixed.npz", "--normal", models / "digits.npz"]
    use("anomaly", tmp_path / "saved", *files, "--out", tmp_path)
    scores = [float(row["score"]) for row in read_rows(tmp_path / "scores.csv")]
    assert np.allclose(scores, detector.score(mixed[0]), rtol=1e-3, atol=1e-4)


def test_the_threshold_of_a_saved_detector(models, detector, mixed, tmp_path, use):
    detector.save(tmp_path / "saved")
    files = ["--data", tmp_path / "mixed.npz", "--out", tmp_path]
    output = use("anomaly", tmp_path / "saved", *files)
    assert "the threshold is that of the saved detector" in output
    alarms = [row["is_anomaly"] == "1" for row in read_rows(tmp_path / "scores.csv")]
    assert alarms == detector.is_anomaly(mixed[0]).tolist()
    output = use("anomaly", tmp_path / "saved", *files, "--false-alarm-rate", 0.1)
    assert "60 observations of --data set the threshold" in output
    use("anomaly", tmp_path / "saved", *files, "--normal", models / "digits.npz")
    metrics = read_metrics(tmp_path)
    assert metrics["threshold, standard deviations"] == pytest.approx(detector.threshold)


def test_worst_step_of_sequences(others, tmp_path, use):
    waves = np.load(others / "sequences.npz")["observations"]
    spikes, steps = waves.copy(), np.arange(200) % 10
    spikes[np.arange(200), steps] += 30
    np.save(tmp_path / "spikes.npy", spikes)
    files = ["--data", tmp_path / "spikes.npy", "--normal", others / "sequences.npz"]
    use("anomaly", others / "sequences", *files, "--out", tmp_path, "--count", 4)
    rows, maps = read_rows(tmp_path / "scores.csv"), np.load(tmp_path / "maps.npy")
    assert list(rows[0]) == ["index", "score", "is_anomaly", "worst_step"]
    worst = np.array([int(row["worst_step"]) for row in rows])
    assert np.array_equal(worst, maps.argmax(1))
    assert (worst == steps).mean() > 0.8
    assert maps.shape == (200, 10)
    image = read_image(tmp_path / "anomalies.png")
    assert (image == (255, 224, 160)).all(-1).sum() > 1_000, "steps are shaded"


def test_one_series_is_calibrated_by_its_first_part(tmp_path, use):
    """A random fifth of its windows would contain the anomaly and raise the threshold above it."""
    rng, steps = np.random.default_rng(0), np.arange(1_500)
    series = np.sin(steps / 7) + rng.normal(0, 0.1, 1_500)
    np.save(tmp_path / "new.npy", series + 3 * (steps // 6 == 200))
    model = lrl.pca(lrl.as_frames(series, window=10).space, latent_dim=3)
    lrl.fit(model, lrl.as_frames(series, window=10), progress=False)
    lrl.save(model, tmp_path / "pca")
    data = ["--data", tmp_path / "new.npy", "--window", 10, "--out", tmp_path / "out"]
    output = use("anomaly", tmp_path / "pca", *data)
    assert "without --normal, the first 298 observations of --data set the threshold" in output
    rows = read_rows(tmp_path / "out" / "scores.csv")
    assert [int(row["index"]) for row in rows] == list(range(298, 1_491))
    alarms = {int(row["index"]) for row in rows if row["is_anomaly"] == "1"}
    touched = set(range(1_191, 1_206))  # the windows with one of its six steps
    assert len(alarms & touched) >= 10
    assert len(alarms - touched) < 0.05 * len(rows)


@pytest.mark.parametrize(
    ("episodes", "count"),
    [(np.arange(COUNT) // 30, 60), (np.arange(COUNT) // 60, 60), (np.arange(COUNT) // 50, 50)],
)
def test_whole_episodes_set_the_threshold(episodes, count, models, tmp_path):
    frames = lrl.as_frames(IMAGES, episodes=episodes)
    verb = Anomaly(model=models / "pca", data=tmp_path)
    normal, scored = verb._split(frames, None, lrl.load(models / "pca"))
    assert len(normal) == count
    assert not np.isin(normal.episodes, frames.episodes[scored]).any()


@pytest.mark.parametrize("episodes", [np.arange(COUNT) // 150, np.arange(COUNT) > 284])
def test_a_few_long_episodes_are_cut(episodes, models, tmp_path):
    frames = lrl.as_frames(IMAGES, episodes=episodes.astype(int))
    verb = Anomaly(model=models / "pca", data=tmp_path)
    _, scored = verb._split(frames, None, lrl.load(models / "pca"))
    assert scored.tolist() == list(range(60, COUNT))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("digits.npz --false-alarm-rate 2", "between 0 and 1, got 2.0"),
        (
            "digits.npz",
            "--false-alarm-rate 0.01 needs at least 99 normal observations to set the threshold, "
            "got 60: give more by --normal, or raise --false-alarm-rate",
        ),
        ("digits.npz --anomalous-label 11", "the labels mark 0 of 300 observations as anomalies"),
        ("one.npy --anomalous-label 1", "one.npy has no labels: omit --anomalous-label, or give"),
        ("one.npy", "needs at least 99 normal observations to set the threshold, got 0"),
        ("digits.npz --count 0", "--count must be at least 1, got 0"),
    ],
)
def test_errors(flags, message, refused):
    assert message in refused(f"anomaly vae --data {flags}")
