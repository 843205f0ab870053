"""Counts of the tokens of a latent that are new in their episode: a key, an open door, a goal."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from latentrl.novelty.base import BONUSES, Bonus
from latentrl.novelty.composite import Sum
from latentrl.novelty.counts import counts
from latentrl.novelty.new_tokens import Found, NewTokens
from latentrl.types import Array, Encoder, LatentLayout, Transitions

COUNTS_WEIGHT = 0.01
"""Weight of ``counts`` beside tokens: whole latents are new at most steps, tokens at few."""
CHECKED, MOST_UNKNOWN = 100_000, 0.9
"""New tokens after which u is checked, and u from which a position shows nothing that returns."""


class TokenCounts(Bonus):
    """Sum over the tokens new in their episode of (1 - u)^2 / sqrt(n), n their count of episodes.

    A token is one cell of a latent grid, or one dimension of a plain vector. In mazes generated
    anew for each episode no observation returns, but its tokens do: a key in view, the key in hand,
    an open door. They are few, must be found again in every episode, and rare ones have large
    bonuses. The factor (1 - u)^2, of ``NewTokens``, is near 0 where the image shows noise.
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
        width = layout.token_width / 10 if width is None else width
        if layout.grid is None:
            layout, by_position = LatentLayout((1, layout.latent_dim), channels=1), True
        self.tokens = NewTokens(layout, by_position, width, seed)

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes; the tokens of the first latents are not new."""
        self.tokens.reset(env_ids, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return the sum over the new tokens of each next latent, float32 ``(B,)``."""
        return self._scores(self._find(transitions))

    def update(self, transitions: Transitions) -> None:
        """Count the new tokens, once per episode."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, with the keys and counts of one look-up."""
        found = self._find(transitions)
        scores = self._scores(found)
        before = self.tokens.new.sum()
        self.tokens.add(transitions.env_ids, found)
        if before < CHECKED <= self.tokens.new.sum():
            self._warn_where_nothing_returns()
        return scores

    def state_dict(self) -> dict[str, Tensor]:
        """Return the lifelong counts, and the totals of each position."""
        return self.tokens.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        self.tokens.load_state_dict(state)

    def metrics(self) -> dict[str, float]:
        """Return the number of distinct tokens, and the fraction u over all positions."""
        return self.tokens.metrics()

    def _find(self, transitions: Transitions) -> Found:
        return self.tokens.find(transitions.env_ids, transitions.next_latents)

    def _warn_where_nothing_returns(self) -> None:
        if self.tokens.least_unknown >= MOST_UNKNOWN:
            warnings.warn(
                f"at every position of the latent at least {MOST_UNKNOWN:.0%} of the tokens that "
                "were new in their episode were in no episode before: counts cannot separate new "
                "from familiar states; use 'reconstruction', 'elliptical' or 'temporal_distance'",
                UserWarning,
                stacklevel=4,
            )

    def _scores(self, found: Found) -> Array:
        scores: Array = (found.new * self.tokens.factor / np.sqrt(found.counts + 1.0)).sum(1)
        return scores.astype(np.float32)


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
