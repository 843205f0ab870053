"""The tokens of a latent that are new in their episode, their counts, and positions of noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import check_state, describe
from latentrl.novelty.counters import EpisodicSet, LatentHash, LifelongCounter
from latentrl.types import Array, LatentLayout


@dataclass(frozen=True)
class Found:
    """The tokens of ``B`` latents."""

    keys: Array
    """Key of each token, uint64 ``(B, tokens)``."""
    new: Array
    """Whether it is the first one of its key in its episode, bool ``(B, tokens)``."""
    counts: Array
    """In how many episodes the key was found before, ``(B, tokens)``."""


class NewTokens:
    """Finds tokens that are new in their episode; a token is one cell of a latent.

    Noise is always new, and never returns. Of the tokens new in their episode at one position, the
    fraction u was in no episode before. By Good and Turing it estimates the probability that the
    next token there is unknown too (Good 1953, doi:10.1093/biomet/40.3-4.237), and the factor
    (1 - u)^2 removes the bonus of positions that show noise.
    """

    def __init__(self, layout: LatentLayout, by_position: bool, width: float, seed: int) -> None:
        """Find tokens in latents of this ``layout``.

        Args:
            layout: of the latents.
            by_position: whether equal cells at different positions are different tokens.
            width: grid width to which values are rounded, in units of the latent.
            seed: of the hash and of the keys of positions.

        Raises:
            ValueError: ``width`` is not positive.
        """
        self.layout, self.by_position = layout, by_position
        self.hash = LatentHash(width=width, seed=seed)
        self.visited, self.counter = EpisodicSet(), LifelongCounter()
        rng = np.random.default_rng(seed)
        self._position_keys = rng.integers(1 << 63, size=layout.cells, dtype=np.uint64)
        self.new = np.zeros(layout.cells)
        """Per position, number of tokens so far that were new in their episode."""
        self._unknown = np.zeros(layout.cells)
        """Per position, number of those of them that were in no episode before."""

    def reset(self, env_ids: Array, latents: Array) -> None:
        """Start new episodes; the tokens of the first latents are not new."""
        self.visited.reset(env_ids)
        self.visited.add(env_ids, self._keys(latents))

    def find(self, env_ids: Array, latents: Array) -> Found:
        """Return the tokens of ``latents (B, latent_dim)``, without a change of state.

        Raises:
            ValueError: the latents have another layout.
        """
        keys = self._keys(latents)
        new = _first_in_row(keys) & ~self.visited.contains(env_ids, keys)
        return Found(keys, new, self.counter.count(keys))

    def add(self, env_ids: Array, found: Found) -> None:
        """Count the new tokens, once per episode."""
        self.new += found.new.sum(0)
        self._unknown += (found.new & (found.counts == 0)).sum(0)
        self.counter.increment(found.keys[found.new])
        self.visited.add(env_ids, found.keys)

    @property
    def least_unknown(self) -> float:
        """Smallest u over the positions where a token was new."""
        shown = self.new > 0
        return float((self._unknown[shown] / self.new[shown]).min(initial=1.0))

    @property
    def factor(self) -> Array:
        """(1 - u)^2 of each position, ``(tokens,)``."""
        # One more in the denominator than tokens so far, so that u is below 1 and a position where
        # nothing was new yet has the factor 1.
        factor: Array = (1 - self._unknown / (self.new + 1)) ** 2
        return factor

    def state_dict(self) -> dict[str, Tensor]:
        """Return the lifelong counts, and both totals of each position."""
        totals = torch.from_numpy(np.stack([self.new, self._unknown]))
        return {**self.counter.state_dict(), "totals": totals}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        check_state("a bonus of tokens", state, "keys", "counts", "totals")
        if state["totals"].shape != (2, len(self.new)):
            raise ValueError(
                f"a bonus of {len(self.new)} tokens per latent expected totals "
                f"{[2, len(self.new)]}, got {describe(state)}: it is that of other latents"
            )
        self.counter.load_state_dict(state)
        self.new, self._unknown = state["totals"].numpy().copy()

    def metrics(self) -> dict[str, float]:
        """Return the number of distinct tokens, and the fraction u over all positions."""
        unknown_fraction = float(self._unknown.sum() / max(self.new.sum(), 1))
        return {
            "distinct_tokens": float(self.counter.distinct),
            "unknown_fraction": unknown_fraction,
        }

    def _keys(self, latents: Array) -> Array:
        if latents.shape[1] != self.layout.latent_dim:
            raise ValueError(
                f"this bonus has a layout of {self.layout.latent_dim} values, got latents "
                f"{latents.shape}: pass LatentLayout.of(encoder)"
            )
        tokens = self.layout.split(latents)
        keys = self.hash(tokens.reshape(-1, tokens.shape[2])).reshape(tokens.shape[:2])
        # A sum with a random key per position is again a linear hash: of (position, token).
        positioned: Array = keys + self._position_keys if self.by_position else keys
        return positioned


def _first_in_row(keys: Array) -> Array:
    """Return whether each key is the first of its value in its row, bool ``(B, tokens)``."""
    # The sort is stable, so that of equal keys the leftmost comes first.
    order = keys.argsort(1, kind="stable")
    ordered = np.take_along_axis(keys, order, 1)
    starts = np.ones(keys.shape, bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(starts)
    np.put_along_axis(first, order, starts, 1)
    return first
