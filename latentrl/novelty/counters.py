"""Hashed codes, how often each has been seen, and which of them an episode has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import grown
from latentrl.types import Array

LIFE_SLOTS, EPISODE_SLOTS = 1 << 22, 1 << 14
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: Fibonacci hashing
Hash = Literal["sign", "grid"]


class Hasher:
    """Turns codes into whole numbers: equal for codes that are near each other.

    "sign" takes the signs of ``bits`` random projections (SimHash: Charikar 2002; Tang et al. 2017,
    arXiv:1611.04717). "grid" rounds each value to steps of ``width``. Codes of bits go either way.
    """

    def __init__(
        self, kind: Hash = "grid", bits: int = 32, width: float = 1.0, seed: int = 0
    ) -> None:
        """Raises ``ValueError`` for an unknown kind, or values without a meaning."""
        if kind not in ("sign", "grid"):
            raise ValueError(f"unknown hash {kind!r}; known: sign, grid")
        if not 1 <= bits <= 64 or not width > 0:
            raise ValueError(
                f"a hash needs 1 to 64 bits and a positive width, got bits={bits}, width={width}"
            )
        self.kind, self.bits, self.width, self.seed = kind, bits, width, seed
        self._weights: Array = np.empty(0)

    def __call__(self, latents: Array) -> Array:
        """Return uint64 keys ``(B,)`` of codes ``(B, latent_dim)``."""
        if not len(self._weights):
            self._weights = self._draw(latents.shape[1])
        if self.kind == "sign":
            powers = np.uint64(1) << np.arange(self.bits, dtype=np.uint64)
            products = (latents @ self._weights > 0) * powers
        else:  # a random linear hash, which wraps around
            products = (
                np.floor(latents / self.width + 0.5).astype(np.int64).astype(np.uint64)
                * self._weights
            )
        keys: Array = products.sum(1, dtype=np.uint64)
        return keys

    def _draw(self, latent_dim: int) -> Array:
        rng = np.random.default_rng(self.seed)
        if self.kind == "sign":
            return rng.standard_normal((latent_dim, self.bits), np.float32)
        odd: Array = rng.integers(1, np.iinfo(np.uint64).max, latent_dim, np.uint64) | np.uint64(1)
        return odd


class LifelongCounter:
    """How often each key has been seen, in a table of four million slots, so that a step is one
    array operation.

    Two keys share a slot with probability 1 in four million.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.counts = np.zeros(LIFE_SLOTS, np.uint32)

    def of(self, keys: Array) -> Array:
        """Return the counts of uint64 ``keys``, in their shape."""
        counts: Array = self.counts[_slots(keys, LIFE_SLOTS)]
        return counts

    def add(self, keys: Array) -> None:
        """Count every one of ``keys``."""
        np.add.at(self.counts, _slots(keys, LIFE_SLOTS), 1)

    @property
    def distinct(self) -> int:
        """How many different keys have been seen."""
        return int(np.count_nonzero(self.counts))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the slots in use and their counts."""
        used = np.flatnonzero(self.counts)
        return {
            "slots": torch.from_numpy(used),
            "counts": torch.from_numpy(self.counts[used].astype(np.int64)),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.counts[:] = 0
        self.counts[state["slots"].numpy()] = state["counts"].numpy()


class _Episodes:
    """A small table for each environment, which ends with the episode.

    Of two keys one in 16,384 pairs shares a slot, so that after a thousand keys in an episode 6 %
    of the new ones pass for seen.
    """

    def __init__(self, kind: type[np.generic]) -> None:
        """Start with no environments."""
        self._table: Array = np.zeros((0, EPISODE_SLOTS), kind)

    def _of(self, rows: Array, keys: Array) -> Array:
        self._table = grown(self._table, rows)
        values: Array = self._table[_along(rows, keys), _slots(keys, EPISODE_SLOTS)]
        return values

    def forget(self, rows: Array) -> None:
        """Begin new episodes in the environments ``rows``."""
        self._table = grown(self._table, rows)
        self._table[rows] = 0


class EpisodicSet(_Episodes):
    """Which keys each environment's episode has seen."""

    def __init__(self) -> None:
        """Start with no environments."""
        super().__init__(np.bool_)

    def has(self, rows: Array, keys: Array) -> Array:
        """Return whether ``keys (B, ...)`` were seen in the environments ``rows (B,)``, in the
        shape of ``keys``.
        """
        return self._of(rows, keys)

    def add(self, rows: Array, keys: Array) -> None:
        """Mark ``keys (B, ...)`` as seen in the environments ``rows (B,)``."""
        self._table = grown(self._table, rows)
        self._table[_along(rows, keys), _slots(keys, EPISODE_SLOTS)] = True


class EpisodicCounter(_Episodes):
    """How often each environment's episode has seen a key."""

    def __init__(self) -> None:
        """Start with no environments."""
        super().__init__(np.uint32)

    def of(self, rows: Array, keys: Array) -> Array:
        """Return the visits of ``keys (B,)`` in the environments ``rows (B,)``."""
        return self._of(rows, keys)

    def add(self, rows: Array, keys: Array) -> None:
        """Count one visit of each of ``keys (B,)`` in the different environments ``rows (B,)``."""
        self._table = grown(self._table, rows)
        self._table[rows, _slots(keys, EPISODE_SLOTS)] += 1


def _along(rows: Array, keys: Array) -> Array:
    return rows.reshape(-1, *(1,) * (keys.ndim - 1))


def _slots(keys: Array, count: int) -> Array:
    shift = np.uint64(64 - (count.bit_length() - 1))
    slots: Array = ((keys * MIXER) >> shift).astype(np.int64)
    return slots
