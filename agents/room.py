"""Name and size of the frames on disk, before they are collected."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import numpy as np
from gymnasium import spaces

from envs import Environment
from latentrl import Frames
from latentrl.data.store import FORMAT, has_store
from latentrl.models.stored import StoredSize

RECORD_BYTES = 64
"""More than the record of one step takes, beside the observation."""


def store_name(environment: Environment, seed: int, resize: StoredSize | None) -> str:
    """Return the name of a store, which differs wherever its frames would.

    Args:
        environment: the environment that is collected.
        seed: seed of the collection.
        resize: how frames are cropped and resized; None keeps their size.
    """
    name = f"format{FORMAT}-skip{environment.frame_skip}-seed{seed}"
    if environment.render_size:
        name += f"-render{environment.render_size}"
    if environment.key:
        name += f"-{environment.key}"
    if environment.max_episode_steps:
        name += f"-limit{environment.max_episode_steps}"
    if resize is None:
        return name
    height, width = resize.space.shape[:2]
    crop = "".join(f".{pixels}" for pixels in resize.config.crop)
    return f"{name}-crop{crop}-{height}x{width}"


def check_room(path: Path, frames: int, space: spaces.Box) -> None:
    """Print the size of the frames that are missing at ``path``.

    Args:
        path: folder of the store.
        frames: most frames that it shall hold.
        space: space of one stored frame.

    Raises:
        ValueError: the disk has not enough room for them.
    """
    missing = frames - (len(Frames.open(path)) if has_store(path) else 0)
    if missing <= 0:
        return
    size = missing * (math.prod(space.shape) * np.dtype(space.dtype).itemsize + RECORD_BYTES)
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    shape = "x".join(map(str, space.shape))
    print(f"up to {missing:,} frames of {shape} take {_words(size)} in {path}", file=sys.stderr)
    if size > free:
        raise ValueError(
            f"{missing:,} frames of {shape} take {_words(size)}, and {existing} has {_words(free)} "
            "free: use fewer --frames, a smaller --size, or another disk"
        )


def _words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"
