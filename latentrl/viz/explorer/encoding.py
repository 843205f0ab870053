"""Arrays in base64 and images in data URIs, as parts of the page's JSON."""

from __future__ import annotations

import base64
import functools
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from latentrl.types import Array

LARGEST_HALF = float(np.finfo(np.float16).max)


def to_json(value: Any, half: bool = True) -> str:
    """Return JSON in which each array is an object with ``dtype``, ``shape`` and ``base64``.

    Args:
        value: nested mappings and lists of strings, numbers and arrays.
        half: whether floats are rounded to float16, where their range allows it.
    """
    encode = functools.partial(_encode, half=half)
    return json.dumps(value, default=encode, separators=(",", ":"), allow_nan=False)


def _encode(array: Array, half: bool) -> dict[str, Any]:
    name = "uint8"
    if array.dtype != np.uint8:
        fits = half and np.abs(array).max(initial=0) <= LARGEST_HALF
        name = "float16" if fits else "float32"
    # The page reads the bytes in the order of its own machine, which is little-endian everywhere.
    data = np.ascontiguousarray(array, np.dtype(name).newbyteorder("<")).tobytes()
    return {
        "dtype": name,
        "shape": list(array.shape),
        "base64": base64.b64encode(data).decode(),
    }


def to_sheet(images: Array, budget: int, qualities: Sequence[int] = (90,)) -> dict[str, Any]:
    """Return RGB images ``(N, H, W, 3)`` as tiles of one image, with its data URI.

    Args:
        images: uint8 images.
        budget: bytes up to which the image is a PNG, which is exact; a larger one is a JPEG.
        qualities: JPEG qualities to try until one is within the budget.
    """
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    padded = np.zeros((rows * columns, height, width, 3), np.uint8)
    padded[:count] = images
    tiles = padded.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    sheet = Image.fromarray(tiles.reshape(rows * height, columns * width, 3))
    uri = _data_uri(sheet, budget, qualities)
    return {"uri": uri, "columns": columns, "height": height, "width": width, "count": count}


def _data_uri(image: Image.Image, budget: int, qualities: Sequence[int]) -> str:
    kind, data = "png", _file(image, "PNG")
    for quality in qualities:
        if len(data) > budget:
            # Without chroma subsampling coloured sprites of a few pixels keep their hue.
            kind, data = "jpeg", _file(image, "JPEG", quality=quality, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
