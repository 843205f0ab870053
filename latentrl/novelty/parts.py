"""Parts of a code that an episode has not seen: a key, an open door, a goal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from latentrl.novelty.base import NOVELTIES, Bonus, rows_for
from latentrl.novelty.tables import Hasher, Seen, Tally
from latentrl.types import Array


@NOVELTIES.register("part_visits")
class PartVisits(Bonus):
    """The sum of 1 / sqrt(n) over the parts of a code that are new in their episode, the n-th to have each.

    A view never comes back in a maze that is built anew for each episode, but what it is made of does.
    Where a code falls into parts, a patch or a factor each, new parts are events: a key in sight, the
    key in hand, an open door. Their number is small, they have to be found anew in every episode, and
    the rare ones pay most.

    Codes are laid out ``(latent_dim / parts, parts)``, as those of the body 'patches' are.
    """

    def __init__(
        self, parts: int | None = None, alike: bool = True, width: float = 0.1, recurring: int = 0, seed: int = 0
    ) -> None:
        """Count ``parts`` of each code.

        Args:
            parts: how many a code has; None takes each dimension for one.
            alike: whether the same values mean the same in every part, as in patches; dimensions of one
                code are never alike.
            width: steps to which values are rounded, in units of the code.
            recurring: episodes that must have had a part before it pays. What never comes back, such as
                noise in steps that are fine enough, then earns nothing.
            seed: of the hash.

        Raises:
            ValueError: there are no parts, the width is not positive, or ``recurring`` is negative.
        """
        if parts is not None and parts < 1:
            raise ValueError(f"a code has at least 1 part, got parts={parts}")
        if recurring < 0:
            raise ValueError(f"recurring is a number of episodes, got {recurring}")
        self.parts, self.alike, self.recurring = parts, alike and parts is not None, recurring
        self.hasher = Hasher("grid", width=width, seed=seed)
        self.seen, self.tally = Seen(), Tally()
        self._rng_seed = seed
        self._rows: Array | None = None

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the sum over the new parts; what a view shows twice counts once."""
        keys, new = self._new(latents)
        episodes = self.tally.of(keys)
        paid = new & (episodes >= self.recurring)
        bonus: Array = (paid / np.sqrt(episodes + 1.0)).sum(1).astype(np.float32)
        return bonus

    def update(self, observations: Array, latents: Array) -> None:
        """Count the new parts, and mark them as seen."""
        keys, new = self._new(latents)
        self.tally.add(keys[new])
        self.seen.add(rows_for(self._rows, len(latents)), keys)

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Forget what these environments have seen, but for what they begin with."""
        places, keys = rows_for(self._rows, len(latents)), self._keys(latents)
        self.seen.forget(places[rows])
        self.seen.add(places[rows], keys[rows])

    def select(self, rows: Array) -> None:
        """Take the next batch for these environments."""
        self._rows = rows

    def state(self) -> dict[str, Tensor]:
        """Return the counts."""
        return self.tally.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.tally.load_state(state)

    def figures(self) -> dict[str, float]:
        """Return how many different parts have been new in an episode."""
        return {"distinct_parts": float(self.tally.distinct)}

    def _new(self, latents: Array) -> tuple[Array, Array]:
        keys = self._keys(latents)
        once = np.ones(keys.shape, bool)
        once[:, 1:] = keys[:, 1:] != keys[:, :-1]
        return keys, once & ~self.seen.has(rows_for(self._rows, len(latents)), keys)

    def _keys(self, latents: Array) -> Array:
        """Return the keys of all parts, sorted, ``(B, parts)``."""
        count, size = latents.shape
        parts = self.parts or size
        if size % parts:
            raise ValueError(f"codes of {size} values do not fall into {parts} parts: set parts to a divisor")
        values = latents.reshape(count, size // parts, parts).transpose(0, 2, 1)
        keys = self.hasher(values.reshape(count * parts, -1)).reshape(count, parts)
        if not self.alike:
            keys = keys + np.random.default_rng(self._rng_seed).integers(1 << 63, size=parts, dtype=np.uint64)
        keys.sort(axis=1)
        return keys
