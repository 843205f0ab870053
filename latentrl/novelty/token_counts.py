"""Counts of the tokens of a latent that are new in their episode: a key, an open door, a goal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import BONUSES, Bonus
from latentrl.novelty.composite import Sum
from latentrl.novelty.counters import EpisodicSet, LatentHash, LifelongCounter
from latentrl.novelty.counts import counts
from latentrl.types import Array, Encoder, LatentLayout, Transitions

COUNTS_WEIGHT = 0.01
"""Weight of ``counts`` beside tokens: whole latents are new at most steps, tokens at few."""


class TokenCounts(Bonus):
    """Sum over the tokens new in their episode of (1 - u)^2 / sqrt(n), n their count of episodes.

    A token is one cell of a latent grid, or one dimension of a plain vector. In mazes generated
    anew for each episode no observation returns, but its tokens do: a key in view, the key in hand,
    an open door. They are few, must be found again in every episode, and rare ones have large
    bonuses.

    Noise is always new, and never returns. Of the tokens new in their episode at one position, the
    fraction u was in no episode before. By Good and Turing it estimates the probability that the
    next token there is unknown too (Good 1953, doi:10.1093/biomet/40.3-4.237), and the factor
    (1 - u)^2 removes the bonus of positions that show noise.
    """

    def __init__(
        self,
        layout: LatentLayout,
        by_position: bool = False,
        width: float | None = None,
        seed: int = 0,
    ) -> None:
        """Count the tokens of latents of this ``layout``.

        Args:
            layout: of the encoder: ``LatentLayout.of(encoder)``.
            by_position: whether equal cells at different positions are different tokens, for a
                camera that never moves. Dimensions of a plain vector always are.
            width: grid width to which values are rounded, in units of the latent, so fine that
                noise does not return; None takes a tenth of ``layout.token_width``.
            seed: of the hash and of the keys of positions.

        Raises:
            ValueError: ``width`` is not positive.
        """
        self.layout, self.by_position = layout, by_position or layout.grid is None
        tokens = layout.latent_dim if layout.grid is None else layout.cells
        self.hash = LatentHash(width=layout.token_width / 10 if width is None else width, seed=seed)
        self.visited, self.counter = EpisodicSet(), LifelongCounter()
        rng = np.random.default_rng(seed)
        self._position_keys = rng.integers(1 << 63, size=tokens, dtype=np.uint64)
        self._new = np.zeros(tokens)
        """Per position, tokens that were new in their episode."""
        self._unknown = np.zeros(tokens)
        """Per position, tokens that were new in every episode."""

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes; the tokens of the first latents are not new."""
        self.visited.reset(env_ids)
        self.visited.add(env_ids, self._keys(latents))

    def score(self, transitions: Transitions) -> Array:
        """Return the sum over the new tokens of each next latent, float32 ``(B,)``."""
        _, new, counts = self._look_up(transitions)
        return self._scores(new, counts)

    def update(self, transitions: Transitions) -> None:
        """Count the new tokens, once per episode."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, with the keys and counts of one look-up."""
        keys, new, counts = self._look_up(transitions)
        scores = self._scores(new, counts)
        self._new += new.sum(0)
        self._unknown += (new & (counts == 0)).sum(0)
        self.counter.increment(keys[new])
        self.visited.add(transitions.env_ids, keys)
        return scores

    def state_dict(self) -> dict[str, Tensor]:
        """Return the lifelong counts, and both totals of each position."""
        totals = torch.from_numpy(np.stack([self._new, self._unknown]))
        return {**self.counter.state_dict(), "totals": totals}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        self.counter.load_state_dict(state)
        self._new, self._unknown = state["totals"].numpy().copy()

    def metrics(self) -> dict[str, float]:
        """Return the number of distinct tokens, and the fraction u over all positions."""
        unknown_fraction = float(self._unknown.sum() / max(self._new.sum(), 1))
        return {
            "distinct_tokens": float(self.counter.distinct),
            "unknown_fraction": unknown_fraction,
        }

    def _scores(self, new: Array, counts: Array) -> Array:
        # One more in the denominator than tokens so far, so that u is below 1 and a position where
        # nothing was new yet has the factor 1.
        factor = (1 - self._unknown / (self._new + 1)) ** 2
        scores: Array = (new * factor / np.sqrt(counts + 1.0)).sum(1)
        return scores.astype(np.float32)

    def _look_up(self, transitions: Transitions) -> tuple[Array, Array, Array]:
        """Return keys, whether each is new, and its lifelong count, all ``(B, tokens)``."""
        keys = self._keys(transitions.next_latents)
        new = _first_in_row(keys) & ~self.visited.contains(transitions.env_ids, keys)
        return keys, new, self.counter.count(keys)

    def _keys(self, latents: Array) -> Array:
        if latents.shape[1] != self.layout.latent_dim:
            raise ValueError(
                f"TokenCounts has a layout of {self.layout.latent_dim} values, got latents "
                f"{latents.shape}: pass LatentLayout.of(encoder)"
            )
        grid = self.layout.grid is not None
        tokens = self.layout.split(latents) if grid else latents[..., None]
        batch, count, size = tokens.shape
        keys = self.hash(tokens.reshape(batch * count, size)).reshape(batch, count)
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


@BONUSES.register("token_counts")
def token_counts(encoder: Encoder, seed: int) -> TokenCounts:
    """Tokens new in their episode, equal cells being one token at every position."""
    return TokenCounts(LatentLayout.of(encoder), seed=seed)


@BONUSES.register("position_token_counts")
def position_token_counts(encoder: Encoder, seed: int) -> TokenCounts:
    """Tokens new in their episode, equal cells at other positions being other tokens."""
    return TokenCounts(LatentLayout.of(encoder), by_position=True, seed=seed)


@BONUSES.register("token_counts+counts")
def token_counts_and_counts(encoder: Encoder, seed: int) -> Sum:
    """``token_counts``, plus a hundredth of ``counts`` where no new token is near."""
    return Sum([token_counts(encoder, seed), counts(encoder)], weights=[1.0, COUNTS_WEIGHT])
