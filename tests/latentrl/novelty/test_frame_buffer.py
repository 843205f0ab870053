"""The ring buffer holds the newest frames, the reservoir all with equal probability."""

from __future__ import annotations

import numpy as np
import pytest

from latentrl.novelty.frame_buffer import FrameBuffer


def test_the_ring_buffer_holds_the_newest():
    buffer, stream = FrameBuffer(7), np.arange(100, dtype=np.uint8)[:, None]
    for part in np.split(stream, [3, 4, 9, 11, 18, 40, 41]):
        for first in range(0, len(part), 7):
            buffer.add(part[first : first + 7])
            newest = np.arange(max(0, buffer.added - 7), buffer.added)
            assert sorted(buffer.recent[: buffer.added].ravel()) == newest.tolist()
            assert len(buffer) == len(newest)
    assert buffer.recent.dtype == np.uint8


def test_the_reservoir_holds_every_frame_with_equal_probability():
    size, total, runs, counts = 10, 60, 600, np.zeros(60)
    for seed in range(runs):
        buffer, rng, done = FrameBuffer(size, seed), np.random.default_rng(10_000 + seed), 0
        while done < total:
            count = int(min(rng.integers(1, size + 1), total - done))
            buffer.add(np.arange(done, done + count)[:, None])
            done += count
        assert len(np.unique(buffer.reservoir)) == size
        counts[buffer.reservoir.ravel()] += 1
    expected, fraction = runs * size / total, size / total
    # Without replacement: the variance of a count is smaller by 1 - fraction.
    chi2 = np.square(counts - expected).sum() / (expected * (1 - fraction)) * (total - 1) / total
    assert abs(chi2 - (total - 1)) < 4 * np.sqrt(2 * (total - 1))


def test_samples_come_half_from_the_ring_buffer_and_half_from_the_reservoir():
    buffer = FrameBuffer(10)
    for number in range(500):
        buffer.add(np.array([[number]]))
    sample = buffer.sample(2001).ravel()
    assert len(sample) == 2001
    assert set(sample[:1000]) == set(range(490, 500))
    assert set(sample[1000:]) == set(buffer.reservoir.ravel())
    few = FrameBuffer(10)
    few.add(np.array([[1], [2]]))
    assert set(few.sample(50).ravel()) == {1, 2}


def test_a_state_restores_the_frames_of_a_buffer_of_the_same_size():
    buffer, restored = FrameBuffer(4), FrameBuffer(4)
    buffer.add(np.arange(3)[:, None])
    buffer.add(np.arange(3, 6)[:, None])
    state = buffer.state_dict()
    restored.load_state_dict(state)
    assert (restored.added, restored.recent.tolist()) == (6, buffer.recent.tolist())
    buffer.add(np.array([[77]]))
    assert 77 not in state["recent"]
    with pytest.raises(ValueError, match="a buffer of 9 frames cannot load the 4 frames of anothe"):
        FrameBuffer(9).load_state_dict(state)


def test_a_buffer_holds_something():
    with pytest.raises(ValueError, match="a frame buffer holds at least 1 frame, got 0"):
        FrameBuffer(0)
