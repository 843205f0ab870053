"""The newest frames of an agent, in the order of their episodes."""

from __future__ import annotations

import numpy as np

import latentrl as lrl
from agents.visited import VisitedFrames

N, STEPS = 3, 20


def test_the_newest_frames_have_their_episodes_and_predecessors():
    rng = np.random.default_rng(0)
    model = lrl.random((9, 8, 3), latent_dim=2)
    visited = VisitedFrames(STEPS, model)
    buffer = np.zeros((N, 9, 8, 3), np.uint8)  # as of an environment that reuses its array
    seen, starts = [], []
    for step in range(30):
        assert visited.fraction == min(1, step / STEPS)
        buffer[:] = rng.integers(0, 256, buffer.shape)
        starts.append(rng.random(N) < 0.2)
        visited.add(buffer, starts[-1])
        seen.append(buffer.copy())
    frames = visited.frames()
    assert np.array_equal(frames[:], np.concatenate(seen[-STEPS:]))
    before = frames.previous(np.arange(len(frames))).reshape(STEPS, N, 9, 8, 3)
    episodes = frames.episodes.reshape(STEPS, N)
    for step in range(STEPS):
        for i in range(N):
            first = step == 0 or starts[10 + step][i]
            assert np.array_equal(before[step, i], seen[10 + step - (not first)][i])
            assert first or episodes[step, i] == episodes[step - 1, i]
    assert len(np.unique(episodes)) == N + np.sum(starts[11:])


def test_frames_are_kept_at_the_size_of_the_network():
    size = lrl.Preprocessing((2, 0, 0, 0), (16, 16))
    model = lrl.random((42, 40, 3), latent_dim=2, preprocessing=size)
    visited = VisitedFrames(1, model)
    frames = np.random.default_rng(0).integers(0, 256, (N, 42, 40, 3)).astype(np.uint8)
    visited.add(frames, np.zeros(N, bool))
    stored = size.stored(model.observation_space)
    assert np.array_equal(visited.frames()[:], stored(frames))
    assert visited.frames().space.shape == (16, 16, 3)
