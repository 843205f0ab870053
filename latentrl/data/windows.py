"""Windows of consecutive steps, to train models of sequences and of dynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from latentrl.data.frames import Frames
from latentrl.types import Array

FIELDS = ("action", "reward", "terminated", "truncated", "final")
"""Fields of a record that a window contains."""


@dataclass(frozen=True)
class Window:
    """``B`` windows of ``T`` consecutive observations, and the steps taken from them.

    The step at ``t`` leads from the observation at ``t`` to that at ``t + 1``. A terminal
    observation can only be the last one of a window.
    """

    observations: Array
    """Observations ``(B, T, *observation_shape)`` in the environment's units."""
    actions: Array
    """Actions taken from them, ``(B, T, *action_shape)``; zeros at a terminal observation."""
    rewards: Array
    """Extrinsic rewards of those actions, float32 ``(B, T)``; 0 at a terminal observation."""
    terminated: Array
    """Whether those actions ended the episode in a terminal state, bool ``(B, T)``."""
    truncated: Array
    """Whether the episode was cut off after those actions, bool ``(B, T)``."""
    final: Array
    """Whether the observation is the last one of its episode and has no action, bool ``(B, T)``."""


class Windows:
    """All windows of ``length`` consecutive observations within one episode of one environment.

    Windows overlap: an episode of ``n`` observations has ``n - length + 1``. They never join two
    episodes, environments or runs of ``collect``; nor do they skip an observation that a view such
    as ``frames.distinct()`` lacks.
    """

    def __init__(self, frames: Frames, length: int) -> None:
        """Find the windows; reads the records and no observation.

        Args:
            frames: frames of a store.
            length: number of observations in a window, ``T``.

        Raises:
            ValueError: ``length`` is not positive, no episode is that long, or the frames have no
                records.
        """
        if length < 1:
            raise ValueError(f"length is a number of observations, at least 1; got {length}")
        steps = frames.steps
        episodes = frames.episodes
        times = frames.times
        # The store interleaves the environments in the order of their steps.
        order = np.lexsort((times, episodes))
        gaps = (np.diff(episodes[order]) != 0) | (np.diff(times[order]) != 1)
        # Number of the stretch without a gap that each observation is in: a window is whole where
        # both of its ends are in the same one.
        stretches = np.concatenate([[0], np.cumsum(gaps)])[: len(frames)]
        last = stretches[length - 1 :]
        self._starts = np.flatnonzero(stretches[: len(last)] == last)
        if not len(self._starts):
            raise ValueError(
                f"no episode has {length} consecutive observations, the longest has "
                f"{np.bincount(stretches).max(initial=0)}: choose a shorter length, or collect "
                "longer episodes"
            )
        self.frames = frames
        self.length = length
        self._order = order
        self._steps = steps[order]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._starts)

    def __getitem__(self, indices: Any) -> Window:
        """Read the windows at ``indices``: a slice or an array ``(B,)``; an int has no ``B``."""
        rows = self._starts[indices][..., None] + np.arange(self.length)
        steps = self._steps[rows]
        observations = self.frames[self._order[rows].ravel()]
        # Copies, because a field of packed records has strides that PyTorch does not accept.
        fields = [np.ascontiguousarray(steps[name]) for name in FIELDS]
        return Window(observations.reshape(*rows.shape, *self.frames.space.shape), *fields)

    def sample(self, batch_size: int, rng: Generator) -> Window:
        """Draw ``batch_size`` windows uniformly, with replacement.

        Raises:
            ValueError: ``batch_size`` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is a number of windows, at least 1; got {batch_size}")
        return self[rng.integers(len(self), size=batch_size)]
