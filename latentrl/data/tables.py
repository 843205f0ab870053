"""Tables in files: CSV and Parquet, one observation per row."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from latentrl.data.array_files import check_decoded_size, named_errors, require_file
from latentrl.types import Array

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
LABEL_COLUMNS = ("labels", "label")
"""Columns that hold no observations."""
UNNAMED = "Unnamed: 0"
"""What pandas calls a first column without a name."""
FIRST_LINE, MAX_COLUMNS = 2**20, 10_000
"""Characters of the longest first line of a CSV file, and its most columns: more take minutes."""


def read_table(path: Path) -> Array:
    """Read a CSV or Parquet file as vectors, float64 ``(N, D)``, NaN where a value is missing.

    A CSV file may have a header. Its values are separated by commas, semicolons, tabs or spaces.

    Raises:
        FileNotFoundError: there is no file.
        ImportError: pandas is missing, or, for Parquet, pyarrow.
        ValueError: the file is damaged, or a column holds no numbers.

    Warns:
        UserWarning: values are missing, or the rows are numbered, which is no observation.
    """
    table = _read(path)
    table = table.drop(columns=[name for name in LABEL_COLUMNS if name in table.columns])
    for name, dtype in table.dtypes.items():
        if dtype.kind not in "biuf":
            _refuse_column(table[name], path)
    array: Array = table.to_numpy(np.float64, na_value=np.nan)
    array, names = _without_index(array, list(table.columns), path)
    _warn_of_missing(array, names, path)
    return array


def _without_index(array: Array, names: list[Any], path: Path) -> tuple[Array, list[Any]]:
    """Leave out the row numbers that pandas writes as a first column without a name."""
    if len(names) < 2:
        return array, names
    indexed = names[0] == UNNAMED and _counts(array[:, 0])
    # Where pandas has numbered the columns, too, their header looks like a row of values.
    numbered = names[0] == 0 and np.isnan(array[0, 0]) and _counts(array[0, 1:])
    numbered = numbered and len(array) > 1 and _counts(array[1:, 0])
    if not (indexed or numbered):
        return array, names
    warnings.warn(
        f"the first column of {path} has no name and counts the rows from 0: it is left out; write "
        "such a table without it, with index=False in pandas",
        UserWarning,
        stacklevel=3,
    )
    return array[int(numbered) :, 1:], names[1:]


def _counts(values: Array) -> bool:
    return np.array_equal(values, np.arange(len(values)))


def read_table_labels(path: Path) -> Array | None:
    """Return the column ``labels`` or ``label`` of a table, ``(N,)``; None if it has neither.

    Raises:
        ImportError, FileNotFoundError, ValueError: as ``read_table``.
    """
    table = _read(path)
    name = next((name for name in LABEL_COLUMNS if name in table.columns), None)
    return None if name is None else np.asarray(table[name])


def _read(path: Path) -> Any:
    require_file(path)
    pandas = _pandas(path)
    with named_errors(path):
        table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _csv(path, pandas)
        if table.empty:
            raise ValueError("it has no rows")
        return table


def _pandas(path: Path) -> Any:
    try:
        import pandas

        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        # Without ``from error`` the command line would show a traceback of an optional import.
        raise ImportError(
            f"{path} needs {error.name}: pip install 'latentrl[tables]', or save the values as .npy"
        ) from None
    return pandas


def _csv(path: Path, pandas: Any) -> Any:
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline(FIRST_LINE)
    # The semicolon first: where it separates values, the comma is a decimal point.
    separator = next((mark for mark in ";\t," if mark in first), None)
    words = first.split(separator)
    if len(words) > MAX_COLUMNS:
        raise ValueError(f"it has over {MAX_COLUMNS:,} columns: save such observations as .npy")
    header = None if all(_is_number(word) for word in words) else 0
    return pandas.read_csv(
        path,
        sep=separator or r"\s+",
        header=header,
        encoding="utf-8-sig",
        skipinitialspace=True,
        low_memory=False,
        **_exact(pandas.__version__),
    )


def _exact(version: str) -> dict[str, str]:
    """Return the argument for exact floats; pandas 3.1 needs none and deprecates it."""
    major, minor = map(int, version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}


def _is_number(word: str) -> bool:
    try:
        float(word or "nan")
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> Any:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        # Runs of equal values take next to no room in the file.
        check_decoded_size(8 * file.metadata.num_rows * file.metadata.num_columns, path)
        return file.read().to_pandas()


def _refuse_column(column: Any, path: Path) -> None:
    pandas = _pandas(path)
    numbers = pandas.to_numeric(column.astype(str), errors="coerce")
    row = int((numbers.isna() & column.notna()).argmax())
    raise ValueError(
        f"column {str(column.name)!r} of {path} holds {column.dtype}, not numbers, first "
        f"{str(column.iloc[row])[:40]!r} in row {row}: convert the column to numbers, or drop it"
    )


def _warn_of_missing(array: Array, names: list[Any], path: Path) -> None:
    missing = np.argwhere(np.isnan(array))
    if len(missing):
        row, column = missing[0]
        warnings.warn(
            f"{len(missing)} values are missing in {path}, first in row {row}, column "
            f"{str(names[column])!r}: fill them, or drop such rows, before a model is trained",
            UserWarning,
            stacklevel=2,
        )
