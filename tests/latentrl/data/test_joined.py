"""Frames of two origins, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from latentrl import Frames, as_frames
from latentrl.data.joined import joined

SPACE = spaces.Box(-1, 1, (2,), np.float32)


def make(seed: int, episodes: list[int]) -> Frames:
    rng = np.random.default_rng(seed)
    observations = rng.uniform(-1, 1, (len(episodes), 2)).astype(np.float32)
    return Frames(SPACE, [observations], np.array(episodes), metadata={"seed": seed})


def test_observations_predecessors_and_episodes_stay() -> None:
    first = make(0, [0, 1, 0, 1, 5]).subset(np.array([1, 3, 4]))
    second = make(1, [0, 0, 1, 0]).subset(np.array([3, 1]))
    both = joined(first, second)
    every = np.arange(5)
    assert np.array_equal(both[every], [*first[:], *second[:]])
    previous = [*first.previous(every[:3]), *second.previous(every[:2])]
    assert np.array_equal(both.previous(every), previous)
    assert both.episodes.tolist() == [1, 1, 5, 6, 6]
    assert both.metadata == {"seed": 0}


def test_other_observations_are_refused() -> None:
    other = as_frames(np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"frames of \(\(2,\), .*\) cannot be joined with frames"):
        joined(make(0, [0, 0]), other)
