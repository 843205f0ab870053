"""Exact counts of uint64 keys, in hash tables that grow."""

from __future__ import annotations

import numpy as np

from latentrl.types import Array

MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: Fibonacci hashing


class KeyTable:
    """Count of each key in each of several rows, such as one row per environment.

    Open addressing with linear probing: slots hold the keys themselves, so that two keys never
    share a count. All rows double in size before one of them is more than half full. A slot takes
    12 bytes.
    """

    def __init__(self, slots: int) -> None:
        """Start without rows; they are added as their indices occur.

        Args:
            slots: slots of each row at first, a power of two.
        """
        self._allocate(0, slots)

    def _allocate(self, rows: int, slots: int) -> None:
        self.slots = slots
        # A slot is empty while its count is 0.
        self._keys = np.zeros(rows * slots, np.uint64)
        self._counts = np.zeros(rows * slots, np.uint32)
        self._used = np.zeros(rows, np.int64)

    @property
    def distinct(self) -> int:
        """Number of distinct keys in all rows."""
        return int(np.count_nonzero(self._counts))

    def count(self, rows: Array, keys: Array) -> Array:
        """Return the counts of ``keys (B, ...)`` in the rows ``(B,)``, in the shape of ``keys``."""
        self._reserve(rows, 0)
        places = self._home(rows, keys)
        self._probe(places, keys.ravel())
        counts: Array = self._counts[places].reshape(keys.shape)
        return counts

    def add(self, rows: Array, keys: Array, amounts: Array | None = None) -> None:
        """Add to the counts of ``keys (B, ...)``, which may repeat, in the rows ``(B,)``.

        Args:
            rows: row of each of ``keys``.
            keys: uint64 keys.
            amounts: what to add, uint32 ``(keys.size,)``; None is 1 for each.
        """
        self._reserve(rows, keys.size // max(len(rows), 1))
        places = self._home(rows, keys)
        flat = keys.ravel()
        amounts = np.ones(len(flat), np.uint32) if amounts is None else amounts
        missing = self._probe(places, flat)
        while len(missing):
            # Of different keys that belong into one empty slot the last one gets it.
            new = places[missing]
            self._keys[new] = flat[missing]
            self._used += np.bincount(np.unique(new) // self.slots, minlength=len(self._used))
            settled = self._keys[places] == flat
            np.add.at(self._counts, places[settled], amounts[settled])
            places, flat, amounts = places[~settled], flat[~settled], amounts[~settled]
            missing = self._probe(places, flat)
        # counts[places] += 1 would add 1 once for a key that occurs twice.
        np.add.at(self._counts, places, amounts)

    def reset(self, rows: Array) -> None:
        """Remove all keys of the rows ``(B,)``."""
        self._reserve(rows, 0)
        self._keys.reshape(-1, self.slots)[rows] = 0
        self._counts.reshape(-1, self.slots)[rows] = 0
        self._used[rows] = 0

    def items(self) -> tuple[Array, Array, Array]:
        """Return row, key and count of each slot in use, all ``(distinct,)``."""
        places = np.flatnonzero(self._counts)
        return places // self.slots, self._keys[places], self._counts[places]

    def _home(self, rows: Array, keys: Array) -> Array:
        """Return the slot at which the search for each of ``keys`` starts, ``(keys.size,)``."""
        # The high bits of the product depend on all bits of the key, the low bits on few of them.
        shift = np.uint64(65 - self.slots.bit_length())
        homes = ((keys * MIXER) >> shift).view(np.int64)
        places: Array = homes + (rows * self.slots).reshape(-1, *(1,) * (keys.ndim - 1))
        return places.ravel()

    def _probe(self, places: Array, keys: Array) -> Array:
        """Move ``places`` to the slot of each key, or to the empty one where its search ends.

        Returns:
            The positions of the keys that the table lacks.
        """
        pending = np.flatnonzero(self._keys[places] != keys)
        missing = pending[:0]
        last = self.slots - 1
        while len(pending):
            tried = places[pending]
            occupied = self._counts[tried] > 0
            missing = np.concatenate([missing, pending[~occupied]])
            pending, tried = pending[occupied], tried[occupied]
            following = (tried & ~last) | ((tried + 1) & last)  # the next slot of the same row
            places[pending] = following
            pending = pending[self._keys[following] != keys[pending]]
        return missing

    def _reserve(self, rows: Array, more: int) -> None:
        """Make room for ``more`` keys in each of ``rows``."""
        most = int(self._used.max(initial=0)) + more
        wanted = max(len(self._used), int(rows.max(initial=-1)) + 1)
        # At least, because a key of 0 equals what an empty slot holds, and so is not in ``_used``.
        if wanted > len(self._used) or 2 * most >= self.slots:
            held = self.items()
            self._allocate(wanted, max(self.slots, 1 << (2 * most).bit_length()))
            self.add(*held)
