"""Visit counts of hashed codes, over a life and within an episode."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from latentrl.novelty.base import NOVELTIES, Bonus, rows_for
from latentrl.novelty.counters import EpisodicSet, Hash, Hasher, LifelongCounter
from latentrl.types import Array


@NOVELTIES.register("counts")
class HashCounts(Bonus):
    """1 / sqrt(n) at the n-th visit of a hashed code (Tang et al. 2017, #Exploration)."""

    def __init__(
        self, hash: Hash = "grid", bits: int = 32, width: float = 1.0, seed: int = 0
    ) -> None:
        """Arguments and errors as in ``Hasher``."""
        self.hasher = Hasher(hash, bits, width, seed)
        self.tally = LifelongCounter()

    def score(self, observations: Array, latents: Array) -> Array:
        """Return 1 / sqrt(visits, this one included)."""
        bonus: Array = 1 / np.sqrt(self.tally.of(self.hasher(latents)) + 1.0, dtype=np.float32)
        return bonus

    def update(self, observations: Array, latents: Array) -> None:
        """Count the visits."""
        self.tally.add(self.hasher(latents))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the counts."""
        return self.tally.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.tally.load_state_dict(state)

    def metrics(self) -> dict[str, float]:
        """Return how many different codes have been seen."""
        return {"distinct_codes": float(self.tally.distinct)}


@NOVELTIES.register("first_visits")
class FirstVisits(Bonus):
    """1 at the first visit of a hashed code in an episode, else 0 (Raileanu & Rocktaschel 2020,
    arXiv:2002.12292).

    As a factor of a life-long bonus it forbids going to and fro between two states. Of an episode
    that goes on after a resumption, the visits before it are forgotten.
    """

    def __init__(
        self, hash: Hash = "grid", bits: int = 32, width: float = 1.0, seed: int = 0
    ) -> None:
        """Arguments and errors as in ``Hasher``."""
        self.hasher = Hasher(hash, bits, width, seed)
        self.seen = EpisodicSet()
        self._rows: Array | None = None

    def score(self, observations: Array, latents: Array) -> Array:
        """Return 1 where the code is new in its episode."""
        known = self.seen.has(rows_for(self._rows, len(latents)), self.hasher(latents))
        return (~known).astype(np.float32)

    def update(self, observations: Array, latents: Array) -> None:
        """Mark the codes as seen."""
        self.seen.add(rows_for(self._rows, len(latents)), self.hasher(latents))

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Forget what these environments have seen, but for where they begin."""
        places, keys = rows_for(self._rows, len(latents)), self.hasher(latents)
        self.seen.forget(places[rows])
        self.seen.add(places[rows], keys[rows])

    def select(self, rows: Array) -> None:
        """Take the next batch for these environments."""
        self._rows = rows
