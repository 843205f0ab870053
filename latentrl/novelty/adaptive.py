"""Counts of tokens where tokens return in other episodes, and temporal distances where not."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latentrl.novelty.base import BONUSES, Bonus, check_state, prefixed, substate
from latentrl.novelty.temporal_distance import TemporalDistance
from latentrl.novelty.token_counts import CHECKED, MOST_UNKNOWN, TokenCounts
from latentrl.types import Array, Encoder, LatentLayout, Transitions


class Adaptive(Bonus):
    """``TokenCounts``, or ``TemporalDistance`` where tokens do not return in other episodes.

    Counts need tokens that return, as in grid worlds. In views of a 3D world nearly every token is
    new, and their bonus is near 0. The first ``CHECKED`` tokens that are new in their episode
    decide for good: temporal distances follow where at least ``MOST_UNKNOWN`` of them, at every
    position of the latent, were in no episode before.
    """

    def __init__(self, layout: LatentLayout, seed: int = 0) -> None:
        """Begin with counts of the tokens of latents of this ``layout``."""
        self.counts = _Counts(layout, seed=seed)
        self.distance = TemporalDistance(seed=seed)
        self.switched = False
        """Whether temporal distances have taken the place of counts."""
        self._decided = False

    @property
    def name(self) -> str:
        """Name of this bonus, with that of the one in use."""
        return f"adaptive ({'temporal_distance' if self.switched else 'token_counts'})"

    @property
    def recurs(self) -> bool:
        """Whether it counts tokens, which it does where they return in other episodes."""
        return not self.switched

    @property
    def _used(self) -> Bonus:
        return self.distance if self.switched else self.counts

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes of the bonus in use."""
        self._used.reset(env_ids, observations, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return the scores of the bonus in use, float32 ``(B,)``."""
        return self._used.score(transitions)

    def update(self, transitions: Transitions) -> None:
        """Update the bonus in use, and decide once there are enough tokens."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, by one ``step`` of the bonus in use."""
        scores = self._used.step(transitions)
        if not self._decided and self.counts.tokens.new.sum() >= CHECKED:
            self._decided = True
            self.switched = self.counts.tokens.least_unknown >= MOST_UNKNOWN
        return scores

    def state_dict(self) -> dict[str, Tensor]:
        """Return which bonus is in use, and the state of the bonus in use."""
        decided = {"decided": torch.tensor(self._decided), "switched": torch.tensor(self.switched)}
        return {**decided, **prefixed("used.", self._used.state_dict())}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        check_state(self.name, state, "decided", "switched")
        self._decided, self.switched = bool(state["decided"]), bool(state["switched"])
        self._used.load_state_dict(substate("used.", state))

    def metrics(self) -> dict[str, float]:
        """Return whether temporal distances are in use, and the metrics of the bonus in use."""
        return {"switched": float(self.switched), **self._used.metrics()}


class _Counts(TokenCounts):
    """Counts without a warning where nothing returns, since there is a remedy."""

    def _warn_where_nothing_returns(self) -> None:
        pass


@BONUSES.register("adaptive")
def adaptive(encoder: Encoder, seed: int) -> Adaptive:
    """Tokens new in their episode, or temporal distances where tokens do not return."""
    return Adaptive(LatentLayout.of(encoder), seed)
