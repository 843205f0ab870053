"""A buffer of frames to train on: a ring buffer of the newest beside a reservoir of all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.types import Array

HALVES = ("recent", "reservoir")


class FrameBuffer:
    """A ring buffer of the newest frames beside a reservoir.

    Every frame that was ever added is in the reservoir with equal probability.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        """Hold ``size`` frames in each half.

        Raises:
            ValueError: ``size`` is less than 1.
        """
        if size < 1:
            raise ValueError(f"a frame buffer holds at least 1 frame, got {size}")
        self.size, self.seed, self.added = size, seed, 0
        self.rng = np.random.default_rng(seed)
        self.recent = self.reservoir = np.empty(0)

    def __len__(self) -> int:
        """Return the number of frames in each half."""
        return min(self.added, self.size)

    def add(self, frames: Array) -> None:
        """Add ``frames (B, *shape)``, at most ``size`` at once."""
        if not self.added:
            shape = (self.size, *frames.shape[1:])
            self.recent = np.empty(shape, frames.dtype)
            self.reservoir = np.empty(shape, frames.dtype)
        numbers = self.added + np.arange(len(frames))
        self.recent[numbers % self.size] = frames
        # Algorithm R (Vitter 1985, doi:10.1145/3147.3165): frame t replaces slot floor(t U), U
        # uniform in [0, 1), and is dropped where that slot lies beyond the reservoir.
        drawn = (self.rng.random(len(frames)) * (numbers + 1)).astype(int)
        slots = np.where(numbers < self.size, numbers, drawn)
        kept = slots < self.size
        self.reservoir[slots[kept]] = frames[kept]
        self.added += len(frames)

    def sample(self, count: int) -> Array:
        """Return ``count`` frames, half of them from each half, with replacement."""
        newest = self.recent[self.rng.integers(len(self), size=count // 2)]
        older = self.reservoir[self.rng.integers(len(self), size=count - count // 2)]
        return np.concatenate([newest, older])

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the frames in both halves, and the number of frames added."""
        halves = {
            name: torch.from_numpy(getattr(self, name)[: len(self)].copy()) for name in HALVES
        }
        return {**halves, "added": torch.tensor(self.added)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned; the random numbers start from a new seed.

        Raises:
            ValueError: the state is of a buffer of another size.
        """
        self.added = int(state["added"])
        for name in HALVES:
            saved = state[name].numpy()
            if len(saved) != len(self):
                raise ValueError(
                    f"a buffer of {self.size} frames cannot load the {len(saved)} frames of another"
                )
            half = np.empty((self.size, *saved.shape[1:]), saved.dtype)
            half[: len(saved)] = saved
            setattr(self, name, half)
        self.rng = np.random.default_rng([self.seed, self.added])
