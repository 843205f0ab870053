"""Parts of a code that an episode has not seen: a key, an open door, a goal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import NOVELTIES, Bonus, rows_for
from latentrl.novelty.counters import EpisodicSet, Hasher, LifelongCounter
from latentrl.types import Array


@NOVELTIES.register("token_counts")
class TokenCounts(Bonus):
    """The sum of 1 / sqrt(n) over the parts of a code that are new in their episode, the n-th to
    have each.

    A view never comes back in a maze that is built anew for each episode, but what it is made of
    does. Where a code falls into parts, a patch or a factor each, new parts are events: a key in
    sight, the key in hand, an open door. Their number is small, they have to be found anew in every
    episode, and the rare ones pay most.

    Noise is always new, and never comes back. Of what is new in its episode at some place in the
    code, a share u was never seen in any episode; it estimates the chance that the next is not
    (Good 1953, doi:10.1093/biomet/40.3-4.237). All parts at that place pay (1 - u)^2 of their due.

    Codes are laid out ``(latent_dim / parts, parts)``, as those of the backbone 'patches' are.
    """

    def __init__(
        self, parts: int | None = None, alike: bool = True, width: float = 0.01, seed: int = 0
    ) -> None:
        """Count ``parts`` of each code.

        Args:
            parts: how many a code has; None takes each dimension for one.
            alike: whether the same values mean the same at every place: a key is a key wherever it
                comes into view. False counts them at each place on its own, for a camera that never
                moves; dimensions of one code are never alike.
            width: steps to which values are rounded, in units of the code; fine enough that noise
                does not come back.
            seed: of the hash.

        Raises:
            ValueError: there are no parts, or the width is not positive.
        """
        if parts is not None and parts < 1:
            raise ValueError(f"a code has at least 1 part, got parts={parts}")
        self.parts, self.alike = parts, alike and parts is not None
        self.hasher = Hasher("grid", width=width, seed=seed)
        self.seen, self.tally = EpisodicSet(), LifelongCounter()
        self._rng = np.random.default_rng(seed)
        self._rows: Array | None = None
        self._offsets: Array = np.empty(0, np.uint64)
        """What sets the keys of each place apart."""
        self._events = np.zeros((2, parts or 0))
        """At each place, how many parts were new in their episode, and how many of them in any."""

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the sum over the new parts; what a view shows twice counts once."""
        keys, new = self._new(latents)
        events, unseen = self._events
        known = 1 - unseen / (events + 1)
        bonus: Array = (
            (new * known**2 / np.sqrt(self.tally.of(keys) + 1.0)).sum(1).astype(np.float32)
        )
        return bonus

    def update(self, observations: Array, latents: Array) -> None:
        """Count the new parts, and mark them as seen."""
        keys, new = self._new(latents)
        self._events += new.sum(0), (new & (self.tally.of(keys) == 0)).sum(0)
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

    def state_dict(self) -> dict[str, Tensor]:
        """Return the counts."""
        return {**self.tally.state_dict(), "events": torch.from_numpy(self._events.copy())}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.tally.load_state_dict(state)
        self._events = state["events"].numpy().copy()

    def metrics(self) -> dict[str, float]:
        """Return how many different parts have been new in an episode, and the share u over all
        places.
        """
        events, unseen = self._events.sum(1)
        return {
            "distinct_parts": float(self.tally.distinct),
            "unseen_share": float(unseen / max(events, 1)),
        }

    def _new(self, latents: Array) -> tuple[Array, Array]:
        """Return the keys of all parts, and which of them are new, once in each code, ``(B,
        parts)``.
        """
        keys = self._keys(latents)
        order = keys.argsort(1, kind="stable")
        ordered = np.take_along_axis(keys, order, 1)
        first = np.ones(keys.shape, bool)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        once = np.empty_like(first)
        np.put_along_axis(once, order, first, 1)
        return keys, once & ~self.seen.has(rows_for(self._rows, len(latents)), keys)

    def _keys(self, latents: Array) -> Array:
        count, size = latents.shape
        parts = self.parts or size
        if size % parts:
            raise ValueError(
                f"codes of {size} values do not fall into {parts} parts: set parts to a divisor"
            )
        if not len(self._offsets):
            self._prepare(parts)
        values = latents.reshape(count, size // parts, parts).transpose(0, 2, 1)
        keys = self.hasher(values.reshape(count * parts, -1)).reshape(count, parts)
        own: Array = keys if self.alike else keys + self._offsets
        return own

    def _prepare(self, parts: int) -> None:
        self._offsets = self._rng.integers(1 << 63, size=parts, dtype=np.uint64)
        if not self._events.size:
            self._events = np.zeros((2, parts))
