"""Hashes of latents, and counters of the keys: lifelong, and for each environment's episode."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.key_table import KeyTable
from latentrl.types import Array, Transitions

LIFELONG_SLOTS, EPISODIC_SLOTS = 1 << 16, 1 << 10
"""Slots of a new table; it doubles before it is more than half full."""
ONE_ROW = np.zeros(1, np.int64)
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
    """Exact count of each key over a lifetime, in a table that grows with the keys."""

    def __init__(self, slots: int = LIFELONG_SLOTS) -> None:
        """Start with counts of zero, and room for half as many keys as ``slots``."""
        self._table = KeyTable(slots)

    def count(self, keys: Array) -> Array:
        """Return the counts of uint64 ``keys``, in the shape of ``keys``."""
        counts: Array = self._table.count(ONE_ROW, keys[None])[0]
        return counts

    def increment(self, keys: Array) -> None:
        """Add 1 for each of ``keys``, which may repeat."""
        self._table.add(ONE_ROW, keys[None])

    @property
    def distinct(self) -> int:
        """Number of distinct keys."""
        return self._table.distinct

    def state_dict(self) -> dict[str, Tensor]:
        """Return the keys, as int64 of the same bits, and their counts."""
        _, keys, counts = self._table.items()
        return {
            "keys": torch.from_numpy(keys.view(np.int64)),
            "counts": torch.from_numpy(counts.astype(np.int64)),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            ValueError: it holds no keys, as before they were saved, or no count for each.
        """
        if "keys" not in state or state["keys"].shape != state["counts"].shape:
            raise ValueError(
                "expected the keys of a bonus and a count for each, got "
                f"{', '.join(f'{name} {list(value.shape)}' for name, value in state.items())}; "
                "counts of an older version have no keys: train the agent again"
            )
        self._table.reset(ONE_ROW)
        keys = state["keys"].numpy().view(np.uint64)
        self._table.add(ONE_ROW, keys[None], state["counts"].numpy().astype(np.uint32))


class EpisodicCounter:
    """Exact count of each key in each environment's current episode."""

    def __init__(self, slots: int = EPISODIC_SLOTS) -> None:
        """Start with counts of zero, and room for half as many keys as ``slots`` per episode."""
        self._table = KeyTable(slots)

    def count(self, env_ids: Array, keys: Array) -> Array:
        """Return the counts of ``keys (B, ...)`` in the environments ``env_ids (B,)``."""
        return self._table.count(env_ids, keys)

    def increment(self, env_ids: Array, keys: Array) -> None:
        """Add 1 for each of ``keys (B, ...)``, which may repeat."""
        self._table.add(env_ids, keys)

    def reset(self, env_ids: Array) -> None:
        """Clear the counts of the environments ``env_ids (B,)``."""
        self._table.reset(env_ids)


class EpisodicSet:
    """The keys of each environment's current episode."""

    def __init__(self, slots: int = EPISODIC_SLOTS) -> None:
        """Start with empty sets; ``slots`` as in ``EpisodicCounter``."""
        self._counter = EpisodicCounter(slots)

    def contains(self, env_ids: Array, keys: Array) -> Array:
        """Return whether the sets hold ``keys (B, ...)``, bool in the shape of ``keys``."""
        return self._counter.count(env_ids, keys) > 0

    def add(self, env_ids: Array, keys: Array) -> None:
        """Add ``keys (B, ...)`` to the sets of the environments ``env_ids (B,)``."""
        self._counter.increment(env_ids, keys)

    def reset(self, env_ids: Array) -> None:
        """Clear the sets of the environments ``env_ids (B,)``."""
        self._counter.reset(env_ids)
