"""Observations and labels in files: arrays, images and folders of images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentrl.data.array_files import archive_names, read_array
from latentrl.data.images import IMAGE_SUFFIXES, ImageFolder, image_files, warn_of_other_files
from latentrl.data.store import has_store
from latentrl.data.tables import TABLE_SUFFIXES, read_table, read_table_labels
from latentrl.types import Array

OTHER_SUFFIXES = IMAGE_SUFFIXES + TABLE_SUFFIXES
"""Files that are recognised by their names."""
LABEL_ARRAYS = ("factors", "labels", "factor_names")
MINARI = re.compile("minari:/{1,2}(.+)")
"""``minari://ID``; a ``Path`` joins the two slashes to one."""


def minari_id(source: str | Path) -> str | None:
    """Return the id of ``minari://ID``; None for any other source."""
    match = MINARI.fullmatch(source if isinstance(source, str) else source.as_posix())
    return match and match[1]


def open_source(path: str | Path, array: str | None = None) -> Source:
    """Open the observations of ``open_named`` without the names of their columns."""
    return open_named(path, array)[0]


def open_named(path: str | Path, array: str | None = None) -> tuple[Source, list[str] | None]:
    """Open the observations in a file or in a folder of images, as ``as_frames`` describes.

    Args:
        path: the file or folder.
        array: name of the array in an ``.npz`` of several.

    Returns:
        The observations, and the names of the columns of a table, None where there are none.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ImportError: the file is a table, and pandas is missing.
        ValueError: the file is damaged or of another kind.

    Warns:
        UserWarning: a folder holds files of other kinds.
    """
    path = Path(path)
    names = None if path.is_dir() or _is_one_of(path, OTHER_SUFFIXES) else archive_names(path)
    if names is not None:
        return read_array(path, _chosen(names, array, path)), None
    if array is not None:
        raise ValueError(f"{path} is no .npz of several arrays: omit the name {array!r}")
    if path.is_dir():
        images = ImageFolder(image_files(path))
        warn_of_other_files(path)
        return images, None
    if _is_one_of(path, IMAGE_SUFFIXES):
        return ImageFolder([path]), None
    return read_table(path) if _is_one_of(path, TABLE_SUFFIXES) else (read_array(path), None)


def _is_one_of(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes and path.exists()


def _chosen(names: list[str], array: str | None, path: Path) -> str:
    others = [name for name in names if name not in LABEL_ARRAYS]
    default = "observations" if "observations" in names else others[0] if others else None
    if array in names:
        return str(array)
    if array is None and default is not None and (default == "observations" or len(others) == 1):
        return default
    wrong = "" if array is None else f", no {array!r}"
    raise ValueError(
        f"{path} holds {', '.join(names) or 'nothing'}{wrong}; choose one by "
        "as_frames(path, array=NAME), on the command line --array NAME"
    )


def read_labels(path: str | Path) -> NDArray[np.int64] | None:
    """Classes ``(N,)`` or factors ``(N, F)`` of the observations at ``path``, in their order.

    Args:
        path: an ``.npz`` with an array ``factors`` or, failing that, ``labels``; an ``.npy`` or IDX
            file of whole numbers; IDX images with a label file beside them under MNIST's names
            (``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``); a table with a column
            ``labels`` or ``label``; or a folder with one sub-folder per class. Classes are numbered
            in the order of their names.

    Returns:
        None for observations without labels, as in a store, in a Minari dataset or in a folder
        without sub-folders.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the labels are not whole numbers, or some images have no class.
    """
    if minari_id(path) is not None:
        return None
    path = Path(path)
    if path.is_dir():
        return None if has_store(path) else _labels_of_folder(path)
    if _is_one_of(path, IMAGE_SUFFIXES):
        return None
    if _is_one_of(path, TABLE_SUFFIXES):
        labels = read_table_labels(path)
        return None if labels is None else _as_labels(labels, f"the label column of {path}")
    names = archive_names(path)
    return _labels_of_file(path) if names is None else _labels_of_archive(path, names)


def read_known_factors(path: str | Path, count: int) -> dict[str, Array]:
    """Known factors by name, ``(count,)`` each, of the observations in an ``.npz``.

    Args:
        path: its array ``factors``, ``(count, F)``, has a column for each factor, and an array
            ``factor_names`` their names; without one they are ``factor 0``, ``factor 1`` and so on.
        count: number of observations.

    Returns:
        An empty dict for other files, and for an ``.npz`` without factors.

    Raises:
        ValueError: the factors are not one number for each observation, or the names do not fit.
    """
    path = Path(path)
    names = None if path.is_dir() or _is_one_of(path, OTHER_SUFFIXES) else archive_names(path)
    if names is None or "factors" not in names:
        return {}
    columns = _columns(read_array(path, "factors"))
    called = [f"factor {i}" for i in range(len(columns))]
    if "factor_names" in names:
        called = [str(name) for name in np.ravel(read_array(path, "factor_names"))]
    if len(set(called)) != len(columns):
        raise ValueError(f"{path} has {len(columns)} factors and the names {', '.join(called)}")
    # A factor that is never known says nothing.
    known = {
        name: column
        for name, column in zip(called, columns, strict=True)
        if column.dtype.kind != "f" or np.isfinite(column).any()
    }
    return {name: check_factor(name, column, count) for name, column in known.items()}


def _columns(factors: Array) -> list[Array]:
    return [factors] if factors.ndim != 2 else [*factors.T]


def check_factor(name: str, values: Array, count: int) -> Array:
    """Return a factor as floats ``(count,)``; NaN is unknown.

    Raises:
        ValueError: it does not have one number for each of ``count`` frames, or is never known.
    """
    array = np.asarray(values)
    if array.shape != (count,) or array.dtype.kind not in "fiub":
        raise ValueError(
            f"the factor {name!r} must have one number for each of the {count} frames, "
            f"({count},); got {array.dtype} {array.shape}"
        )
    numbers: Array = array.astype(float)
    if not np.isfinite(numbers).any():
        raise ValueError(f"the factor {name!r} is NaN or infinite in all frames: drop it")
    return numbers


def _labels_of_archive(path: Path, names: list[str]) -> NDArray[np.int64] | None:
    name = next((name for name in ("factors", "labels") if name in names), None)
    return None if name is None else _as_labels(read_array(path, name), f"{name!r} in {path}")


def _labels_of_file(path: Path) -> NDArray[np.int64] | None:
    array = read_array(path)
    if array.ndim < 2 or (array.ndim == 2 and array.dtype.kind in "iub"):
        return _as_labels(array, str(path))
    name = path.name.replace("images", "labels").replace(f"idx{array.ndim}", "idx1")
    beside = path.with_name(name)
    found = beside != path and beside.exists()
    return _as_labels(read_array(beside), str(beside)) if found else None


def _labels_of_folder(folder: Path) -> NDArray[np.int64] | None:
    below = [path.relative_to(folder).parts for path in image_files(folder)]
    names, numbers = np.unique(
        [parts[0] if len(parts) > 1 else "" for parts in below], return_inverse=True
    )
    if len(names) == 1:
        return None
    if names[0] == "":
        raise ValueError(
            f"images in {folder} lie beside class folders ({', '.join(names[1:])}): move them"
        )
    return numbers.astype(np.int64)


def _as_labels(array: Array, where: str) -> NDArray[np.int64]:
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "iub":
        raise ValueError(
            f"{where} holds {array.dtype} of shape {array.shape}, not labels; "
            "expected whole numbers: classes (N,) or factors (N, F)"
        )
    return array.astype(np.int64)


Source = Array | ImageFolder
"""Observations ``(N, *shape)`` that ``Frames`` reads by an array of positions."""
