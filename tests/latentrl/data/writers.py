"""Files of every kind that ``as_frames`` opens, for the tests of the readers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from PIL import Image

from latentrl.data.store import FrameWriter

IDX_TYPES = {
    "uint8": 0x08,
    "int8": 0x09,
    "int16": 0x0B,
    "int32": 0x0C,
    "float32": 0x0D,
    "float64": 0x0E,
}


def idx(array: Any) -> bytes:
    header = struct.pack(
        f">HBB{array.ndim}I", 0, IDX_TYPES[array.dtype.name], array.ndim, *array.shape
    )
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def save_image(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def write_npy(folder: Path, images: Any) -> Path:
    np.save(folder / "frames.npy", images)
    return folder / "frames.npy"


def write_npz(folder: Path, images: Any) -> Path:
    np.savez(folder / "frames.npz", observations=images, rewards=np.zeros(len(images)))
    return folder / "frames.npz"


def write_idx(folder: Path, images: Any) -> Path:
    return write(folder / "frames-idx4-ubyte", idx(images))


def write_folder(folder: Path, images: Any) -> Path:
    for number, image in enumerate(images):
        save_image(folder / f"{number}.png", image)
    return folder


def write_store(folder: Path, images: Any) -> Path:
    space = spaces.Box(0, 255, images.shape[1:], np.uint8)
    with FrameWriter(folder, space, spaces.Discrete(2), {}) as writer:
        writer.append(images)
    return folder


WRITERS: dict[str, Callable[[Path, Any], Path]] = {
    "npy": write_npy,
    "npz": write_npz,
    "idx": write_idx,
    "folder": write_folder,
    "store": write_store,
}
