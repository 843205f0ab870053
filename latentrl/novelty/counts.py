"""Visit counts of hashed codes, over a life and within an episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import NOVELTIES, Bonus, grown, rows_for
from latentrl.types import Array

LIFE_SLOTS, EPISODE_SLOTS = 1 << 22, 1 << 14
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: Fibonacci hashing
Hash = Literal["sign", "grid"]


class Hasher:
    """Turns codes into whole numbers: equal for codes that are near each other.

    "sign" takes the signs of ``bits`` random projections (SimHash: Charikar 2002; Tang et al. 2017,
    arXiv:1611.04717). "grid" rounds each value to steps of ``width``. Codes of bits go either way.
    """

    def __init__(self, kind: Hash = "grid", bits: int = 32, width: float = 1.0, seed: int = 0) -> None:
        """Raises ``ValueError`` for an unknown kind, or values without a meaning."""
        if kind not in ("sign", "grid"):
            raise ValueError(f"unknown hash {kind!r}; known: sign, grid")
        if not 1 <= bits <= 64 or not width > 0:
            raise ValueError(f"a hash needs 1 to 64 bits and a positive width, got bits={bits}, width={width}")
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
            products = np.floor(latents / self.width + 0.5).astype(np.int64).astype(np.uint64) * self._weights
        keys: Array = products.sum(1, dtype=np.uint64)
        return keys

    def _draw(self, latent_dim: int) -> Array:
        rng = np.random.default_rng(self.seed)
        if self.kind == "sign":
            return rng.standard_normal((latent_dim, self.bits), np.float32)
        odd: Array = rng.integers(1, np.iinfo(np.uint64).max, latent_dim, np.uint64) | np.uint64(1)
        return odd


def _slots(keys: Array, count: int) -> Array:
    shift = np.uint64(64 - (count.bit_length() - 1))
    slots: Array = ((keys * MIXER) >> shift).astype(np.int64)
    return slots


@NOVELTIES.register("counts")
class HashCounts(Bonus):
    """1 / sqrt(n) at the n-th visit of a hashed code (Tang et al. 2017, #Exploration).

    Counts live in a table of four million slots, so that a step is one array operation; two codes
    share a slot with probability 1 in four million.
    """

    def __init__(self, hash: Hash = "grid", bits: int = 32, width: float = 1.0, seed: int = 0) -> None:
        """Arguments and errors as in ``Hasher``."""
        self.hasher = Hasher(hash, bits, width, seed)
        self.counts = np.zeros(LIFE_SLOTS, np.uint32)

    def score(self, observations: Array, latents: Array) -> Array:
        """Return 1 / sqrt(visits, this one included)."""
        slots = _slots(self.hasher(latents), LIFE_SLOTS)
        bonus: Array = 1 / np.sqrt(self.counts[slots] + 1.0, dtype=np.float32)
        return bonus

    def update(self, observations: Array, latents: Array) -> None:
        """Count the visits."""
        np.add.at(self.counts, _slots(self.hasher(latents), LIFE_SLOTS), 1)

    def state(self) -> dict[str, Tensor]:
        """Return the slots in use and their counts."""
        used = np.flatnonzero(self.counts)
        return {"slots": torch.from_numpy(used), "counts": torch.from_numpy(self.counts[used].astype(np.int64))}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.counts[:] = 0
        self.counts[state["slots"].numpy()] = state["counts"].numpy()

    def figures(self) -> dict[str, float]:
        """Return how many different codes have been seen."""
        return {"distinct_codes": float(np.count_nonzero(self.counts))}


@NOVELTIES.register("first_visits")
class FirstVisits(Bonus):
    """1 at the first visit of a hashed code in an episode, else 0 (Raileanu & Rocktaschel 2020, arXiv:2002.12292).

    As a factor of a life-long bonus it forbids going to and fro between two states. Of an episode
    that goes on after a resumption, the visits before it are forgotten. Of two codes in an episode one
    in 16,384 pairs shares a slot, so that after a thousand codes 6 % of the new ones pass for seen.
    """

    def __init__(self, hash: Hash = "grid", bits: int = 32, width: float = 1.0, seed: int = 0) -> None:
        """Arguments and errors as in ``Hasher``."""
        self.hasher = Hasher(hash, bits, width, seed)
        self.seen = np.zeros((0, EPISODE_SLOTS), bool)
        self._rows: Array | None = None

    def score(self, observations: Array, latents: Array) -> Array:
        """Return 1 where the code is new in its episode."""
        rows, slots = self._place(latents)
        return (~self.seen[rows, slots]).astype(np.float32)

    def update(self, observations: Array, latents: Array) -> None:
        """Mark the codes as seen."""
        self.seen[self._place(latents)] = True

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Forget what these environments have seen, but for where they begin."""
        places, slots = self._place(latents)
        self.seen[rows] = False
        self.seen[places[rows], slots[rows]] = True

    def select(self, rows: Array) -> None:
        """Take the next batch for these environments."""
        self._rows = rows

    def _place(self, latents: Array) -> tuple[Array, Array]:
        rows = rows_for(self._rows, len(latents))
        self.seen = grown(self.seen, rows)
        return rows, _slots(self.hasher(latents), EPISODE_SLOTS)
