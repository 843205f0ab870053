"""Frames to keep learning from: the newest, and a fair sample of all that came before."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.types import Array


class Memory:
    """A ring of the newest frames beside a reservoir, in which every frame ever seen has an equal
    chance to be.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        """Hold ``size`` frames in each half.

        Raises:
            ValueError: the size is less than 1.
        """
        if size < 1:
            raise ValueError(f"a memory holds at least 1 frame, got {size}")
        self.size, self.seed, self.seen = size, seed, 0
        self.rng = np.random.default_rng(seed)
        self.recent = self.reservoir = np.empty(0)

    def add(self, frames: Array) -> None:
        """Add ``frames (B, *shape)``, a batch that is no larger than the memory."""
        if not self.seen:
            self.recent, self.reservoir = (
                np.empty((self.size, *frames.shape[1:]), frames.dtype) for _ in range(2)
            )
        numbers = self.seen + np.arange(len(frames))
        self.recent[numbers % self.size] = frames
        places = np.where(
            numbers < self.size, numbers, (self.rng.random(len(frames)) * (numbers + 1)).astype(int)
        )
        kept = places < self.size
        self.reservoir[places[kept]] = frames[kept]
        self.seen += len(frames)

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the frames in both halves, and how many have been seen."""
        filled = min(self.seen, self.size)
        halves = {
            name: torch.from_numpy(getattr(self, name)[:filled].copy())
            for name in ("recent", "reservoir")
        }
        return {**halves, "seen": torch.tensor(self.seen)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned; what chance draws from here on is new.

        Raises:
            ValueError: it is of a memory of another size.
        """
        self.seen = int(state["seen"])
        for name in ("recent", "reservoir"):
            kept = state[name].numpy()
            if len(kept) != min(self.seen, self.size):
                raise ValueError(
                    f"a memory of {self.size} frames cannot take the {len(kept)} frames of another"
                )
            half = np.empty((self.size, *kept.shape[1:]), kept.dtype)
            half[: len(kept)] = kept
            setattr(self, name, half)
        self.rng = np.random.default_rng([self.seed, self.seen])

    def sample(self, count: int) -> Array:
        """Return ``count`` frames, half of them from each half, with replacement."""
        filled = min(self.seen, self.size)
        halves = count // 2, count - count // 2
        parts = [
            half[self.rng.integers(filled, size=n)]
            for half, n in zip((self.recent, self.reservoir), halves, strict=True)
        ]
        return np.concatenate(parts)
