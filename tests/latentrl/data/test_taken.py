"""The frames of an earlier call, in a store that other processes extend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentrl.data.frames import Frames
from latentrl.data.store import FrameWriter
from latentrl.data.taken import take, taken

SPACE = spaces.Box(0, 255, (2, 2, 1), np.uint8)


def writer(path: Path) -> FrameWriter:
    return FrameWriter(path, SPACE, spaces.Discrete(2), {"id": "Test-v0"})


def append(shard: FrameWriter, *values: int) -> None:
    images: Any = np.broadcast_to(
        np.array(values, np.uint8)[:, None, None, None], (len(values), 2, 2, 1)
    )
    shard.append(images, episode=np.array(values) // 3)


def test_shards_that_grow_shift_no_frame(tmp_path: Path) -> None:
    with writer(tmp_path) as idle, writer(tmp_path) as other, writer(tmp_path) as own:
        append(other, 1, 2, 3)
        append(own, 11, 12, 13, 14)
        frames = Frames.open(tmp_path).subset(np.arange(6))
        counts = taken(frames)
        assert counts == {"001": 3, "002": 3}
        append(idle, 50)
        append(other, 4, 5, 6, 7, 8, 9)
        append(own, 15)
        grown = Frames.open(tmp_path)
        later = grown.subset(np.arange(6))
        assert later.fingerprint != frames.fingerprint
        for view in (later, grown):
            again = take(view, counts)
            assert again is not None
            assert again[:].max(axis=(1, 2, 3)).tolist() == [1, 2, 3, 11, 12, 13]
            assert again.fingerprint == frames.fingerprint
            assert taken(again) == counts
            for part, expected in zip(again.split(0.3), frames.split(0.3), strict=True):
                np.testing.assert_array_equal(part[:], expected[:])


def test_frames_that_are_gone_are_not_taken(tmp_path: Path) -> None:
    with writer(tmp_path) as shard:
        append(shard, 1, 2, 3)
    frames = Frames.open(tmp_path)
    assert take(frames, {"000": 4}) is None
    assert take(frames, {"000": 2, "001": 1}) is None
