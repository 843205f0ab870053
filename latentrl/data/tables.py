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
COUNTED, INCREASING = 3, 8
"""Least numbers in a first line that are names of columns: of 0, 1, 2 and so on, and of others that
increase, such as wavelengths. By chance, one observation of 40,320 increases over 8 columns."""
COUNTED_ROWS = 10
"""Least rows that a column can number."""


def read_table(path: Path) -> tuple[Array, list[str] | None]:
    """Read a CSV or Parquet file as vectors, float64 ``(N, D)``, NaN where a value is missing.

    A CSV file may have a header. Its values are separated by commas, semicolons, tabs or spaces.

    Returns:
        The vectors, and the names of their columns, None where the file has none.

    Raises:
        FileNotFoundError: there is no file.
        ImportError: pandas is missing, or, for Parquet, pyarrow.
        ValueError: the file is damaged, or a column holds no numbers.

    Warns:
        UserWarning: values are missing, a column numbers the rows, or the names of the columns are
            numbers.
    """
    table = _read(path)
    table = table.drop(columns=[name for name in LABEL_COLUMNS if name in table.columns])
    for name, dtype in table.dtypes.items():
        if dtype.kind not in "biuf":
            _refuse_column(table[name], path)
    table = _without_index(table, path)
    array: Array = table.to_numpy(np.float64, na_value=np.nan)
    names = list(table.columns)
    _warn_of_row_numbers(array, names, path)
    _warn_of_missing(array, names, path)
    return array, names if all(isinstance(name, str) for name in names) else None


def _without_index(table: Any, path: Path) -> Any:
    """Leave out the index that pandas writes as a first column without a name."""
    if table.shape[1] < 2 or table.columns[0] != UNNAMED:
        return table
    # The index of a selection does not count from 0, and that of a shuffled one is in no order.
    first = table.iloc[:, 0].to_numpy()
    if first.dtype.kind not in "iu" or len(np.unique(first)) < len(first):
        return table
    warnings.warn(
        f"the first column of {path} has no name and numbers the rows: it is left out; write such "
        "a table without it, with index=False in pandas",
        UserWarning,
        stacklevel=3,
    )
    return table.iloc[:, 1:]


def _warn_of_row_numbers(array: Array, names: list[Any], path: Path) -> None:
    if len(array) < COUNTED_ROWS:
        return
    counts = (np.diff(array, axis=0) == 1).all(0)
    if counts.any():
        warnings.warn(
            f"column {str(names[int(counts.argmax())])!r} of {path} numbers the rows, and a model "
            "learns it as any other: drop it, unless such a number says something",
            UserWarning,
            stacklevel=3,
        )


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
        first, second = file.readline(FIRST_LINE), file.readline(FIRST_LINE)
    # The semicolon first: where it separates values, the comma is a decimal point.
    separator = next((mark for mark in ";\t," if mark in first), None)
    words, below = (line.split(separator) or [""] for line in (first, second))
    if len(words) > MAX_COLUMNS:
        raise ValueError(f"it has over {MAX_COLUMNS:,} columns: save such observations as .npy")
    header = 0 if _are_names(words, below, path) else None
    return pandas.read_csv(
        path,
        sep=separator or r"\s+",
        header=header,
        encoding="utf-8-sig",
        skipinitialspace=True,
        low_memory=False,
        **_exact(pandas.__version__),
    )


def _are_names(first: list[str], second: list[str], path: Path) -> bool:
    """Return whether the words of the first line name the columns, given those of the second."""
    if not all(map(_is_number, first)):
        return True
    # Before the names of columns, pandas leaves the name of its index empty.
    indexed = not first[0].strip() and second[0].strip().isdigit()
    numbers, below = _numbers(first[indexed:]), _numbers(second[indexed:])
    names = _differ(numbers, below, COUNTED - 2 * indexed)
    if names and not indexed:
        warnings.warn(
            f"the first line of {path} holds the numbers {numbers[0]:g} to {numbers[-1]:g} in "
            "increasing order, unlike the next line: they are taken as the names of the columns; "
            "if they are an observation, write a line of names above",
            UserWarning,
            stacklevel=6,
        )
    return names


def _numbers(words: list[str]) -> Array:
    """Return words as numbers; NaN where a word is none."""
    numbers = (float(word) if word.strip() and _is_number(word) else np.nan for word in words)
    return np.fromiter(numbers, float)


def _differ(numbers: Array, below: Array, least: int) -> bool:
    """Return whether the first line alone counts from 0, or increases over many columns."""
    steps, steps_below = np.diff(numbers), np.diff(below)
    if len(numbers) >= least and np.array_equal(numbers, np.arange(len(numbers))):
        return bool((steps_below != 1).any()) or len(below) == 1
    many = len(numbers) >= INCREASING and len(below) > 1
    return many and bool((steps > 0).all()) and not bool((steps_below > 0).all())


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
