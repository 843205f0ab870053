"""CSV and Parquet: numbers, headers, separators, labels, and what is no number."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import latentrl as lrl
from latentrl.data import read_labels, tables
from tests.latentrl.data.writers import write

VALUES = np.random.default_rng(0).normal(1.7e9, 1, (20, 3))
NAMES = ["time", "flow", "heat"]


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(VALUES, columns=NAMES).assign(**columns)


def read(path: Path) -> Any:
    return lrl.as_frames(path)[:]


@pytest.mark.parametrize("header", ["", "time{0}flow{0}heat"])
@pytest.mark.parametrize(
    ("suffix", "separator"), [("csv", ","), ("csv", ";"), ("tsv", "\t"), ("csv", " "), ("CSV", ",")]
)
def test_csv_is_read_to_the_last_digit(
    suffix: str, separator: str, header: str, tmp_path: Path
) -> None:
    path = tmp_path / f"values.{suffix}"
    np.savetxt(path, VALUES, "%.17g", separator, header=header.format(separator), comments="")
    if not header:  # savetxt writes an empty line in its place
        write(path, path.read_bytes().lstrip(b"\n"))
    frames = lrl.as_frames(path)
    assert frames.space.dtype == np.float64
    np.testing.assert_array_equal(frames[:], VALUES)


def test_a_byte_order_mark_belongs_to_no_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbf1,2\n3,4\n")
    assert read(path).tolist() == [[1, 2], [3, 4]]


def test_one_column_is_one_value(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", b"x\n1\n2.5\n")).tolist() == [[1], [2.5]]


@pytest.mark.parametrize("dtype", ["float32", "int64", "Int64", "bool"])
def test_parquet_is_read(dtype: str, tmp_path: Path) -> None:
    more = pd.Series(np.arange(20) % 2).astype(dtype)
    table(more=more).to_parquet(tmp_path / "a.parquet")
    expected = np.column_stack([VALUES, np.arange(20) % 2])
    np.testing.assert_array_equal(read(tmp_path / "a.parquet"), expected)


def test_the_index_of_a_frame_is_no_observation(tmp_path: Path) -> None:
    table().set_index(pd.RangeIndex(20) * 7 % 20).to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read(tmp_path / "a.parquet"), VALUES)


INDEX = "the first column of .* has no name and numbers the rows: .* index=False in pandas"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("names", [NAMES, range(3)])
def test_the_numbers_of_the_rows_are_no_observation(
    names: Any, separator: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame(VALUES, columns=list(names)).to_csv(path, sep=separator)
    with pytest.warns(UserWarning, match=INDEX) as caught:
        np.testing.assert_array_equal(read(path), VALUES)
    assert len(caught) == 1


@pytest.mark.parametrize("rows", [range(5, 25), np.random.default_rng(1).permutation(20)])
def test_the_index_of_a_selection_is_no_observation(rows: Any, tmp_path: Path) -> None:
    table().set_index(pd.Index(rows)).to_csv(tmp_path / "a.csv")
    with pytest.warns(UserWarning, match=INDEX):
        np.testing.assert_array_equal(read(tmp_path / "a.csv"), VALUES)


@pytest.mark.parametrize(("first", "warns"), [(0, True), (100, True), (0.5, True), (None, False)])
def test_a_named_column_that_numbers_the_rows_is_kept(
    first: float | None, warns: bool, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    numbers = VALUES[:, 0] if first is None else first + np.arange(20)
    table(id=numbers).to_csv(tmp_path / "a.csv", index=False)
    assert read(tmp_path / "a.csv").shape == (20, 4)
    messages = [str(warning.message) for warning in recwarn]
    assert len(messages) == warns
    assert not warns or re.search("column 'id' of .* numbers the rows, and a model", messages[0])


WAVELENGTHS = np.cumsum(np.random.default_rng(2).uniform(1, 2, 8)).round(2) + 400


@pytest.mark.parametrize("names", [[0, 1, 2], WAVELENGTHS])
def test_numbers_that_increase_in_the_first_line_alone_are_names(
    names: Any, tmp_path: Path
) -> None:
    values = np.random.default_rng(3).normal(size=(20, len(names)))
    pd.DataFrame(values, columns=list(names)).to_csv(tmp_path / "a.csv", index=False)
    message = f"first line of .* the numbers {names[0]:g} to {names[-1]:g} in increasing order"
    with pytest.warns(UserWarning, match=message):
        frames = lrl.as_frames(tmp_path / "a.csv")
    np.testing.assert_array_equal(frames[:], values)
    assert frames.columns == [str(name) for name in names]


@pytest.mark.parametrize(
    "rows",
    [
        [[0, 1, 2], [1, 2, 3], [5, 6, 9]],  # all rows increase
        [[0, 1], [0, 5]],  # too few
        [[3, 4, 5], [1, 0, 0]],
        [[*range(7), 3], [0] * 8],
    ],
)
def test_other_first_lines_of_numbers_are_observations(rows: Any, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", rows, "%d", ",")
    frames = lrl.as_frames(tmp_path / "a.csv")
    assert frames[:].tolist() == rows
    assert frames.columns is None


def test_a_table_names_its_columns(tmp_path: Path) -> None:
    table(label=np.arange(20) % 4).to_csv(tmp_path / "a.csv", index=False)
    assert lrl.as_frames(tmp_path / "a.csv").columns == NAMES
    assert lrl.as_frames(tmp_path / "a.csv", window=5).columns == NAMES
    assert lrl.as_frames(table()).columns == NAMES
    assert lrl.as_frames(VALUES).columns is None


def test_labels_stand_beside_the_numbers_of_the_rows(tmp_path: Path) -> None:
    table(label=np.arange(20) % 4).to_csv(tmp_path / "a.csv")
    with pytest.warns(UserWarning, match=INDEX):
        assert read(tmp_path / "a.csv").shape == (20, 3)
    labels = read_labels(tmp_path / "a.csv")
    assert labels is not None
    assert len(labels) == 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b",a\n0.5,5\n2,6\n", [[0.5, 5], [2, 6]]),
        (b",a\n1,5\n1,6\n", [[1, 5], [1, 6]]),
        (b"a,b\n0,5\n1,6\n", [[0, 5], [1, 6]]),
        (b'""\n0\n1\n', [[0], [1]]),
        (b"0,1\n0,5\n1,6\n", [[0, 1], [0, 5], [1, 6]]),
    ],
)
def test_other_first_columns_are_values(text: bytes, expected: Any, tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", text)).tolist() == expected


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["label", "labels"])
def test_a_column_of_labels_is_apart(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    labelled = table(**{name: np.arange(20) % 4})
    labelled.to_csv(path, index=False) if kind == "csv" else labelled.to_parquet(path)
    assert read(path).shape == (20, 3)
    labels = read_labels(path)
    assert labels is not None
    assert labels.tolist() == [*range(4)] * 5
    table().to_csv(tmp_path / "without.csv", index=False)
    assert read_labels(tmp_path / "without.csv") is None


def test_labels_are_whole_numbers(tmp_path: Path) -> None:
    table(label="cat").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=r"the label column of .*a.csv holds .*, not labels"):
        read_labels(tmp_path / "a.csv")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_of_text_are_named(kind: str, tmp_path: Path) -> None:
    path, broken = tmp_path / f"a.{kind}", table(state=["1", "2.5", "off", "on"] * 5)
    broken.to_csv(path, index=False) if kind == "csv" else broken.to_parquet(path)
    message = r"column 'state' of .* holds .*, not numbers, first 'off' in row 2: convert the"
    with pytest.raises(ValueError, match=message):
        lrl.as_frames(path)


def test_columns_of_dates_are_named(tmp_path: Path) -> None:
    table(day=pd.Timestamp("2026-01-02")).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"column 'day' of .* holds datetime64.*'2026-01-02"):
        lrl.as_frames(tmp_path / "a.parquet")


def test_missing_values_are_named_and_not_learned(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1,2\n3,4\n5,\n7,NA\n")
    with pytest.warns(
        UserWarning, match="2 values are missing in .*, first in row 2, column 'b': fill them"
    ):
        frames = lrl.as_frames(path)
    with pytest.raises(ValueError, match="first in observation 2"):
        lrl.fit(lrl.ae((2,), latent_dim=1), frames, progress=False)


def test_a_table_of_labels_alone_has_no_observations(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"of shape \(2, 0\) is empty"):
        lrl.as_frames(write(tmp_path / "a.csv", b"label\n1\n2\n"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "No columns to parse"),
        (b"a,b\n", "it has no rows"),
        (b"a,b\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        (b"\xff\xfe,2\n", "can't decode byte"),
        (b",".join([b"1"] * 10_001), "it has over 10,000 columns: save such"),
    ],
)
def test_damaged_tables_are_named(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"a.csv cannot be read: .*{message}"):
        lrl.as_frames(write(tmp_path / "a.csv", data))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.9])
def test_truncated_parquet_is_named(fraction: float, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table().to_parquet(path)
    data = path.read_bytes()
    with pytest.raises(ValueError, match=r"a.parquet cannot be read: "):
        lrl.as_frames(write(path, data[: int(fraction * len(data))]))


def test_runs_that_decompress_to_gigabytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentrl.data.array_files.DECODED_BYTES", 2**12)
    pd.DataFrame({"a": np.zeros(2**20)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"bytes decompress to 8,388,608, which data hardly do"):
        lrl.as_frames(tmp_path / "a.parquet")


@pytest.mark.parametrize(("missing", "kind"), [("pandas", "csv"), ("pyarrow.parquet", "parquet")])
def test_missing_packages_are_named(
    missing: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / f"a.{kind}", b"1,2\n3,4\n")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"needs p.*: pip install 'latentrl\[tables\]', or") as e:
        lrl.as_frames(path)
    assert e.value.name is None, "the command line shows no traceback of it"


@pytest.mark.parametrize(("version", "exact"), [("2.3.3", True), ("3.0.1", True), ("3.1.1", False)])
def test_older_pandas_is_told_to_read_every_digit(version: str, exact: bool) -> None:
    assert tables._exact(version) == ({"float_precision": "round_trip"} if exact else {})
