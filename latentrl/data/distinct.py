"""Equal observations: recognised by a digest, and counted while frames are collected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from latentrl.types import Array


def digest(observation: Array) -> bytes:
    """Return 16 bytes that equal observations share.

    Two different ones of 10^9 share them with probability below 10^-20.
    """
    return hashlib.blake2b(observation.tobytes(), digest_size=16).digest()


def first_of_equals(observations: Iterable[Array]) -> list[int]:
    """Return the positions of the observations that are equal to none before them."""
    first: dict[bytes, int] = {}
    for i, observation in enumerate(observations):
        first.setdefault(digest(observation), i)
    return [*first.values()]


class Progress:
    """Frames that a collection has stored, and whether they are enough."""

    def __init__(self, frames: int, most: int | None) -> None:
        """Stop at ``frames`` observations, or at as many distinct ones among at most ``most``."""
        self.frames, self.most = frames, frames if most is None else most
        self.distinct = most is not None
        self.stored = 0
        self._digests: set[bytes] = set()

    def add(self, observations: Array) -> None:
        """Count stored ``observations (B, *shape)``."""
        self.stored += len(observations)
        if self.distinct:
            self._digests.update(map(digest, observations))

    @property
    def count(self) -> int:
        """Number of observations that count towards ``frames``."""
        return len(self._digests) if self.distinct else self.stored

    @property
    def room(self) -> int:
        """Observations that may still be stored; 0 where there are enough."""
        return self.most - self.stored if self.count < self.frames else 0

    def __str__(self) -> str:
        """Describe the frames in words."""
        repeats = 1 - self.count / self.stored
        return f"{self.stored:,} frames, {self.count:,} distinct ({repeats:.0%} repeat another one)"
