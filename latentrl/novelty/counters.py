"""Hashes of latents, and counters of the keys: lifelong, and for each environment's episode."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import grown
from latentrl.types import Array, Transitions

LIFELONG_SLOTS, EPISODIC_SLOTS = 1 << 22, 1 << 14
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: Fibonacci hashing
HashKind = Literal["sign", "grid"]


@dataclass(frozen=True)
class LatentHash:
    """Hash that maps latents ``(B, n)`` to uint64 keys ``(B,)``, equal for latents close together.

    Hashes with equal fields have equal weights; ``of`` computes the keys of a step once for all.
    """

    kind: HashKind = "grid"
    """"sign": signs of random projections (SimHash: Charikar 2002, doi:10.1145/509907.509965; Tang
    et al. 2017, arXiv:1611.04717). "grid": each value rounded to a multiple of ``width``."""
    bits: int = 32
    """Number of projections of "sign", 1 to 64."""
    width: float = 1.0
    """Cell width of "grid", in units of the latent."""
    seed: int = 0
    """Seed of the random weights."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an unknown kind, and for values out of range."""
        if self.kind not in ("sign", "grid"):
            raise ValueError(f"unknown hash {self.kind!r}; known: sign, grid")
        if not 1 <= self.bits <= 64 or not self.width > 0:
            raise ValueError(
                "a hash needs 1 to 64 bits and a positive width, "
                f"got bits={self.bits}, width={self.width}"
            )

    def __call__(self, latents: Array) -> Array:
        """Return the keys of ``latents``."""
        weights = _weights(self, latents.shape[1])
        if self.kind == "sign":
            powers = np.uint64(1) << np.arange(self.bits, dtype=np.uint64)
            terms = (latents @ weights > 0) * powers
        else:
            # floor(x + 0.5), because np.round sends both 0.5 and -0.5 to 0 and so makes cell 0
            # wider than the others. The cast over int64 keeps negative cells apart; the linear hash
            # of the cells wraps around modulo 2^64.
            cells = np.floor(latents / self.width + 0.5).astype(np.int64).astype(np.uint64)
            terms = cells * weights
        keys: Array = terms.sum(1, dtype=np.uint64)
        return keys

    def of(self, transitions: Transitions) -> Array:
        """Return the keys of the next latents, computed once per step for all equal hashes."""
        return transitions.cached(self, lambda: self(transitions.next_latents))


@functools.lru_cache(maxsize=64)
def _weights(latent_hash: LatentHash, size: int) -> Array:
    rng = np.random.default_rng(latent_hash.seed)
    if latent_hash.kind == "sign":
        return rng.standard_normal((size, latent_hash.bits), np.float32)
    # Odd factors are invertible modulo 2^64, so that two cells of one dimension never collide.
    odd: Array = rng.integers(1, np.iinfo(np.uint64).max, size, np.uint64) | np.uint64(1)
    return odd


class LifelongCounter:
    """Count of each key over a lifetime, in a table of four million slots.

    Two keys share a slot with probability 1 in four million.
    """

    def __init__(self) -> None:
        """Start with counts of zero."""
        self.counts = np.zeros(LIFELONG_SLOTS, np.uint32)

    def count(self, keys: Array) -> Array:
        """Return the counts of uint64 ``keys``, in the shape of ``keys``."""
        counts: Array = self.counts[_slots(keys, LIFELONG_SLOTS)]
        return counts

    def increment(self, keys: Array) -> None:
        """Add 1 for each of ``keys``, which may repeat."""
        # counts[slots] += 1 would add 1 once for a slot that occurs twice.
        np.add.at(self.counts, _slots(keys, LIFELONG_SLOTS), 1)

    @property
    def distinct(self) -> int:
        """Number of distinct keys."""
        return int(np.count_nonzero(self.counts))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the slots in use and their counts."""
        used = np.flatnonzero(self.counts)
        counts = self.counts[used].astype(np.int64)
        return {"slots": torch.from_numpy(used), "counts": torch.from_numpy(counts)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        self.counts[:] = 0
        self.counts[state["slots"].numpy()] = state["counts"].numpy()


class _EpisodicTable:
    """A table of 16,384 slots for each environment, cleared at the start of an episode.

    One pair of keys in 16,384 shares a slot: after a thousand distinct keys in one episode, 6 % of
    new keys count as known.
    """

    def __init__(self, dtype: type[np.generic]) -> None:
        """Start with no environments; the table grows with the indices."""
        self._table: Array = np.zeros((0, EPISODIC_SLOTS), dtype)

    def _index(self, env_ids: Array, keys: Array) -> tuple[Array, Array]:
        """Return the index of the entries of ``keys (B, ...)``, for tables of all ``env_ids``."""
        self._table = grown(self._table, env_ids)
        rows = env_ids.reshape(-1, *(1,) * (keys.ndim - 1))
        return rows, _slots(keys, EPISODIC_SLOTS)

    def _read(self, env_ids: Array, keys: Array) -> Array:
        index = self._index(env_ids, keys)
        values: Array = self._table[index]
        return values

    def reset(self, env_ids: Array) -> None:
        """Clear the tables of the environments ``env_ids (B,)``."""
        self._table = grown(self._table, env_ids)
        self._table[env_ids] = 0


class EpisodicSet(_EpisodicTable):
    """The keys of each environment's current episode."""

    def __init__(self) -> None:
        """Start with empty sets."""
        super().__init__(np.bool_)

    def contains(self, env_ids: Array, keys: Array) -> Array:
        """Return whether the sets hold ``keys (B, ...)``, bool in the shape of ``keys``."""
        return self._read(env_ids, keys)

    def add(self, env_ids: Array, keys: Array) -> None:
        """Add ``keys (B, ...)`` to the sets of the environments ``env_ids (B,)``."""
        index = self._index(env_ids, keys)
        self._table[index] = True


class EpisodicCounter(_EpisodicTable):
    """Count of each key in each environment's current episode."""

    def __init__(self) -> None:
        """Start with counts of zero."""
        super().__init__(np.uint32)

    def count(self, env_ids: Array, keys: Array) -> Array:
        """Return the counts of ``keys (B,)`` in the environments ``env_ids (B,)``."""
        return self._read(env_ids, keys)

    def increment(self, env_ids: Array, keys: Array) -> None:
        """Add 1 for ``keys (B,)`` in the environments ``env_ids (B,)``, which are all different."""
        index = self._index(env_ids, keys)
        self._table[index] += 1


def _slots(keys: Array, count: int) -> Array:
    # The high bits of the product depend on all bits of the key, the low bits on few of them.
    shift = np.uint64(64 - (count.bit_length() - 1))
    slots: Array = ((keys * MIXER) >> shift).astype(np.int64)
    return slots
