"""Names of columns: whatever takes a data frame or a table refuses another order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import latentrl as lrl
from latentrl.cli.data import open_data
from latentrl.data.columns import check_columns

NAMES = list("abcd")
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.normal(size=(200, 2)) @ RNG.normal(size=(2, 4)), columns=NAMES)
OTHER_ORDER = r"not in the order of training: column 1 is 'c', expected 'b'; order them as a, b, c"
CONFIG = lrl.FitConfig(steps=20)


@pytest.fixture(scope="module")
def model() -> lrl.Autoencoder:
    model = lrl.ae((4,), latent_dim=2)
    lrl.fit(model, TABLE, CONFIG, progress=False)
    return model


@pytest.fixture(scope="module")
def detector() -> lrl.AnomalyDetector:
    return lrl.AnomalyDetector(config=CONFIG, false_alarm_rate=0.1).fit(TABLE)


def as_csv(table: pd.DataFrame, folder: Path) -> Path:
    table.to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


USES: dict[str, Callable[..., Any]] = {
    "encode": lambda model, _, table, folder: model.encode(table),
    "reconstruct": lambda model, _, table, folder: model.reconstruct(table),
    "fit": lambda model, _, table, folder: lrl.fit(model, table, CONFIG, progress=False),
    "command line": lambda model, _, table, folder: open_data(as_csv(table, folder), model),
    "predict": lambda _, detector, table, folder: detector.predict(table),
    "score a file": lambda _, detector, table, folder: detector.score(as_csv(table, folder)),
    "map": lambda _, detector, table, folder: detector.map(lrl.as_frames(table)),
    "calibrate": lambda _, detector, table, folder: detector.calibrate(table),
}


@pytest.mark.parametrize("use", USES)
def test_another_order_is_refused(
    use: str, model: lrl.Autoencoder, detector: lrl.AnomalyDetector, tmp_path: Path
) -> None:
    USES[use](model, detector, TABLE, tmp_path)
    with pytest.raises(ValueError, match=OTHER_ORDER):
        USES[use](model, detector, TABLE[["a", "c", "b", "d"]], tmp_path)


def test_a_saved_model_keeps_its_columns(model: lrl.Autoencoder, tmp_path: Path) -> None:
    loaded = lrl.load(lrl.save(model, tmp_path / "model"))
    assert loaded.columns == NAMES
    with pytest.raises(ValueError, match=OTHER_ORDER):
        loaded.encode(TABLE[["a", "c", "b", "d"]])


def test_names_do_not_change_a_latent(model: lrl.Autoencoder) -> None:
    np.testing.assert_array_equal(model.encode(TABLE), model.encode(TABLE.to_numpy()))


def test_whole_numbers_of_a_data_frame_are_values() -> None:
    whole = pd.DataFrame({"a": [1, 2, 3], "b": [True, False, True]})
    frames = lrl.as_frames(whole)
    assert frames[:].tolist() == [[1, 1], [2, 0], [3, 1]]
    assert frames.space.dtype == np.float64


def test_text_of_a_data_frame_is_named() -> None:
    with pytest.raises(ValueError, match=r"an array holds object .*, turn text into numbers"):
        lrl.as_frames(pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}))


def test_other_columns_are_named() -> None:
    message = r"expected the columns .*, a, b, c; missing: b, c; not in the training: x$"
    with pytest.raises(ValueError, match=message):
        check_columns(["a", "x"], ["a", "b", "c"])


def test_long_lists_are_cut() -> None:
    expected = [f"c{i}" for i in range(30)]
    message = r"order them as c0, c1, .* c9, and 20 more; in pandas, table\[model.columns\]$"
    with pytest.raises(ValueError, match=message):
        check_columns(expected[::-1], expected)


@pytest.mark.parametrize(("names", "expected"), [(None, NAMES), (NAMES, None), (NAMES, NAMES)])
def test_without_names_nothing_is_compared(names: Any, expected: Any) -> None:
    check_columns(names, expected)
