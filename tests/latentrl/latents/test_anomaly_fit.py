"""Detectors fitted to arrays alone: scores, calibration, long series and files."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.latents.anomaly import default_model
from latentrl.latents.detector_files import DETECTOR, NOTE
from latentrl.utils.io import read_tensors, write_tensors

QUICK = lrl.FitConfig(steps=60, batch_size=32, precision="float32", device="cpu")


@pytest.fixture(scope="module")
def linear(vectors: Any) -> lrl.Autoencoder:
    """Principal components of the first 600 vectors."""
    model = lrl.pca((8,), 3)
    lrl.fit(model, vectors[:600], progress=False)
    return model


@pytest.fixture(scope="module")
def detector(linear: lrl.Autoencoder, vectors: Any) -> lrl.AnomalyDetector:
    detector = lrl.AnomalyDetector(linear, false_alarm_rate=0.05)
    return detector.fit(vectors[:600], calibration=vectors[600:800])


def test_an_anomaly_that_is_well_reconstructed_is_detected(
    detector: lrl.AnomalyDetector, linear: lrl.Autoencoder, vectors: Any
) -> None:
    # Far along a principal component: the reconstruction is exact.
    direction = linear.decode(np.eye(3, dtype=np.float32)[0]) - linear.decode(
        np.zeros(3, np.float32)
    )
    far = vectors[800:] + 30 * direction / np.linalg.norm(direction) * np.sign(
        (vectors[800:] - 3) @ direction
    )[:, None].astype(np.float32)
    scores = detector.score(np.concatenate([vectors[800:], far]))
    labels = np.arange(400) >= 200
    assert lrl.auroc(scores, labels) > 0.99
    alone = lrl.AnomalyDetector(linear).score(np.concatenate([vectors[800:], far]))
    assert lrl.auroc(alone, labels) < 0.7
    assert detector.unit == "standard deviations"


def test_no_observation_sets_its_own_threshold(vectors: Any) -> None:
    rng = np.random.default_rng(0)
    alarms = []
    for seed in range(8):
        data = rng.standard_normal((1500, 4)).astype(np.float32)
        model = lrl.pca((4,), 2)
        lrl.fit(model, data[:300], progress=False)
        detector = lrl.AnomalyDetector(model, false_alarm_rate=0.1, seed=seed)
        detector.fit(data[:300], calibration=data[300:500])
        alarms.append(detector.is_anomaly(data[500:]).mean())
    # The standard error over 8 calibrations with 200 observations is below 0.01.
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.03)


def test_fit_trains_a_copy_and_holds_out_a_fifth(images: Any) -> None:
    given = lrl.ae((32, 32, 3), 4, backbone={"name": "mlp", "hidden": (16,)})
    before = {name: value.clone() for name, value in given.state_dict().items()}
    detector = lrl.AnomalyDetector(given, false_alarm_rate=0.1, config=QUICK).fit(images)
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())
    assert detector.require_model().fitted
    assert detector.references is not None
    assert len(detector.references.vectors) == 160
    assert detector.predict(255 - images[:20]).tolist() == [-1] * 20
    again = lrl.AnomalyDetector(given, false_alarm_rate=0.1, config=QUICK).fit(images)
    np.testing.assert_array_equal(again.score(images[:9]), detector.score(images[:9]))


def test_the_default_model_compresses_eight_values_to_one_or_two_of_a_vector() -> None:
    assert default_model(spaces.Box(0, 255, (8, 8), np.uint8)).latent_dim == 8
    sizes = [1, 3, 20, 200]
    latents = [default_model(spaces.Box(-1, 1, (size,), np.float32)).latent_dim for size in sizes]
    assert latents == [1, 1, 10, 32]
    model = default_model(spaces.Box(-np.inf, np.inf, (50, 30), np.float32))
    assert model.latent_dim == 32
    assert model.config.backbone == {"name": "mlp"}


def test_a_value_that_leaves_the_plane_of_the_others_is_found() -> None:
    """Twenty sensors with five causes, one of them off by half a standard deviation: PCA finds it
    with certainty."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(5, 20))
    rows = rng.normal(size=(2400, 5)) @ weights + 0.05 * rng.normal(size=(2400, 20))
    normal, broken = rows[:2000], rows[2000:].copy()
    broken[np.arange(200), rng.integers(20, size=200)] += 0.5 * rows.std()
    config = lrl.FitConfig(steps=300, learning_rate=3e-3, precision="float32", device="cpu")
    detector = lrl.AnomalyDetector(false_alarm_rate=0.05, config=config).fit(normal)
    assert lrl.auroc(detector.score(broken), np.arange(400) < 200) > 0.97


def test_a_model_without_decoder_is_scored_by_its_distances(vectors: Any) -> None:
    model = lrl.random((8,), 4)
    lrl.fit(model, vectors[:600], progress=False)
    detector = lrl.AnomalyDetector(model).fit(vectors[:600], calibration=vectors[600:])
    assert detector.references is not None
    assert detector.references.centre.shape == (2,)
    assert detector.is_anomaly(vectors[:50] + 100).all()


@pytest.mark.parametrize("values", [1, 2])
def test_each_step_of_a_long_series_has_a_score(values: int) -> None:
    space = spaces.Box(-np.inf, np.inf, (6, values), np.float32)
    model = lrl.ae(space, 2, backbone={"name": "mlp", "hidden": (8,)})
    detector = lrl.AnomalyDetector(model)
    series = np.random.default_rng(0).standard_normal((20, values)).astype(np.float32)
    scores = detector.map_series(series[:, 0] if values == 1 else series)
    maps = [detector.map(series[start : start + 6]) for start in range(15)]
    expected = [
        np.mean([maps[start][step - start] for start in range(15) if 0 <= step - start < 6])
        for step in range(20)
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 2), (20, 3), (20,), (2, 20, 2)])
def test_series_of_another_shape_are_refused(shape: Any) -> None:
    model = lrl.ae(spaces.Box(-1, 1, (6, 2), np.float32), 2, backbone="mlp")
    with pytest.raises(ValueError, match=r"series \(N, D\) of at least T steps .* of \(6, 2\)"):
        lrl.AnomalyDetector(model).map_series(np.zeros(shape, np.float32))


def test_wrong_calls_of_fit_are_refused_before_training(vectors: Any) -> None:
    with pytest.raises(ValueError, match="the detector has no model: fit it, or give a trained"):
        lrl.AnomalyDetector().score(vectors)
    with pytest.raises(
        ValueError,
        match=r"0\.01 needs at least 99 normal .* got 50, half of 100: give more of them",
    ):
        lrl.AnomalyDetector().fit(vectors[:100])
    with pytest.raises(ValueError, match=r"needs at least 99 normal observations .* got 30"):
        lrl.AnomalyDetector().fit(vectors, calibration=vectors[:30])
    with pytest.raises(ValueError, match="must lie between 0 and 1, got 7"):
        lrl.AnomalyDetector(false_alarm_rate=7).fit(vectors)


def test_vectors_of_another_size(linear: lrl.Autoencoder, vectors: Any) -> None:
    with pytest.raises(ValueError, match=r"expected observations of shape \(B, 8\), got \(1, 3\)"):
        lrl.AnomalyDetector(linear).fit(vectors[:, :3])


def test_a_saved_detector_scores_alike(
    detector: lrl.AnomalyDetector, vectors: Any, tmp_path: Any
) -> None:
    assert detector.save(tmp_path / "detector") == tmp_path / "detector"
    loaded = lrl.AnomalyDetector.load(tmp_path / "detector", "cpu")
    np.testing.assert_array_equal(loaded.score(vectors), detector.score(vectors))
    assert loaded.threshold == detector.threshold
    assert loaded.false_alarm_rate == 0.05
    assert lrl.load(tmp_path / "detector", "cpu").latent_dim == 3


def test_a_detector_without_references_is_saved_too(
    linear: lrl.Autoencoder, vectors: Any, tmp_path: Any
) -> None:
    detector = lrl.AnomalyDetector(linear).calibrate(vectors[600:], 0.1)
    loaded = lrl.AnomalyDetector.load(detector.save(tmp_path), "cpu")
    assert loaded.references is None
    np.testing.assert_array_equal(loaded.is_anomaly(vectors), detector.is_anomaly(vectors))


def test_a_detector_beside_another_model_is_refused(
    detector: lrl.AnomalyDetector, vectors: Any, tmp_path: Any
) -> None:
    lrl.save(lrl.load(detector.save(tmp_path)), tmp_path)
    assert lrl.AnomalyDetector.load(tmp_path).threshold == detector.threshold
    other = lrl.pca((8,), 3)
    lrl.fit(other, vectors + 1, progress=False)
    lrl.save(other, tmp_path)
    with pytest.raises(ValueError, match="another model than its detector belongs to: fit the"):
        lrl.AnomalyDetector.load(tmp_path)


def test_a_detector_of_half_precision_is_read(vectors: Any, tmp_path: Any) -> None:
    model = lrl.ae((8,), 3)
    lrl.fit(model, vectors, lrl.FitConfig(steps=3), progress=False)
    for half in (model.half(), model.bfloat16()):
        detector = lrl.AnomalyDetector(half, threshold=1.0)
        assert lrl.AnomalyDetector.load(detector.save(tmp_path)).threshold == 1


def test_columns_without_names_are_no_columns(linear: lrl.Autoencoder, vectors: Any) -> None:
    detector = lrl.AnomalyDetector(linear, false_alarm_rate=0.05).fit(pd.DataFrame(vectors))
    assert detector.columns is None
    detector.predict(pd.DataFrame(vectors, columns=list("abcdefgh")))


def test_columns_in_another_order_are_refused(
    linear: lrl.Autoencoder, vectors: Any, tmp_path: Any
) -> None:
    table = pd.DataFrame(vectors, columns=list("abcdefgh"))
    detector = lrl.AnomalyDetector(linear, false_alarm_rate=0.05).fit(table)
    loaded = lrl.AnomalyDetector.load(detector.save(tmp_path))
    for each in (detector, loaded):
        np.testing.assert_array_equal(each.predict(table), detector.predict(vectors))
        with pytest.raises(ValueError, match=r"column 0 is 'h', expected 'a'; order them as a"):
            each.predict(table[list("hgfedcba")])


@pytest.mark.parametrize(
    ("scale", "warned"), [(0.1, True), (1.0, False)], ids=["a group", "scattered"]
)
def test_small_groups_among_normal_observations_are_a_warning(scale: float, warned: bool) -> None:
    rng = np.random.default_rng(0)
    group = 6 * (scale < 1) + scale * rng.normal(size=(20, 8))
    rows = np.concatenate([rng.normal(size=(1_500, 8)), group]).astype(np.float32)
    config = lrl.FitConfig(steps=5)
    message = "a few of the normal observations form small groups far from all others, and what"
    with pytest.warns(match=message) if warned else contextlib.nullcontext():
        lrl.AnomalyDetector(config=config).fit(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": torch.full((5, 11), torch.nan)}, "damaged: expected finite arrays vectors"),
        ({"own": torch.zeros(2)}, "damaged: its arrays do not fit one another"),
        ({"width": None}, "damaged: expected finite arrays"),
        ({"format": 9}, "is not of format 3: fit and save the detector again"),
        ({"settings": {"threshold": 1}}, "damaged: expected the settings columns, false_alarm"),
        ({"tiny": -1.0}, "damaged: expected finite arrays"),
    ],
)
def test_edited_files_of_detectors_are_refused(
    change: dict[str, Any],
    message: str,
    detector: lrl.AnomalyDetector,
    tmp_path: Any,
) -> None:
    detector.save(tmp_path)
    tensors, note = read_tensors(tmp_path / DETECTOR, NOTE)
    for name, value in change.items():
        if name in note:
            note[name] = value
        elif value is None:
            del tensors[name]
        else:
            tensors[name] = value
    write_tensors(tmp_path / DETECTOR, tensors, {NOTE: note})
    with pytest.raises(ValueError, match=message):
        lrl.AnomalyDetector.load(tmp_path, "cpu")


def test_a_folder_without_a_detector_is_named(linear: lrl.Autoencoder, tmp_path: Any) -> None:
    lrl.save(linear, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no anomaly detector at .*detector\.safetensors"):
        lrl.AnomalyDetector.load(tmp_path)


def test_one_wrong_value_among_many_is_found_as_by_the_residual_of_pca() -> None:
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(5, 60))

    def draw(count: int) -> Any:
        clean = rng.normal(size=(count, 5)) @ loadings / 5**0.5
        return (clean + 0.1 * rng.normal(size=clean.shape)).astype(np.float32)

    normal, anomalies = draw(300), draw(300)
    column = rng.integers(60, size=300)
    anomalies[np.arange(300), column] = draw(300)[np.arange(300), column]
    mixed, truth = np.concatenate([normal, anomalies]), np.arange(600) >= 300
    training = draw(1000)
    model = lrl.pca((60,), 5)
    lrl.fit(model, training, progress=False)
    residual = np.square((model.reconstruct(mixed) - mixed) / model.preprocess.std.numpy()).sum(1)
    detector = lrl.AnomalyDetector(model, false_alarm_rate=0.05).fit(training)
    area = lrl.auroc(detector.score(mixed), truth)
    assert area > lrl.auroc(residual, truth)
    assert area > 0.85
