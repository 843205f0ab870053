"""Which frames a pretraining run took from a store that other runs may extend at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from latentrl import Frames
from latentrl.data.taken import take, taken
from latentrl.utils.decoding import decode
from latentrl.utils.io import read_json, write_json

FRAMES_FILE = "frames.json"
"""File beside a model: how many frames of each shard the run took."""


def as_before(frames: Frames, path: Path, resume: bool) -> Frames:
    """Return the frames that the run in ``path`` took earlier, or note those of a new run.

    Args:
        frames: the first frames of a store, as ``collect`` returned them.
        path: folder of the run.
        resume: whether there may have been an earlier call.

    Raises:
        ValueError: the file of an earlier call is damaged.
    """
    file = path / FRAMES_FILE
    if resume and file.is_file():
        counts = decode(Mapping[str, int], read_json(file), str(file))
        before = take(frames, counts)
        # Of a store that was collected anew, training names the difference.
        return frames if before is None else before
    write_json(file, taken(frames))
    return frames
