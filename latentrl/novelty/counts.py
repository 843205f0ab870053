"""Count-based bonuses: lifelong counts of hashed latents, and first visits in an episode."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from latentrl.novelty.base import BONUSES, Bonus
from latentrl.novelty.counters import EpisodicSet, HashKind, LatentHash, LifelongCounter
from latentrl.types import Array, Encoder, LatentLayout, Transitions


class FirstVisits(Bonus):
    """1 for the first visit of a hashed latent in an episode, else 0.

    As a factor of a lifelong bonus it removes the reward for moving to and fro between two states.
    RIDE divides by sqrt(N_e(s)) for that purpose (Raileanu and Rocktaschel 2020, arXiv:2002.12292);
    the indicator N_e(s) = 1 is that of BeBold (Zhang et al. 2020, arXiv:2012.08621). A resumed run
    starts with empty episodes.
    """

    def __init__(
        self, hash: HashKind = "grid", bits: int = 32, width: float = 1.0, seed: int = 0
    ) -> None:
        """Count the keys of ``LatentHash(hash, bits, width, seed)``; errors as there."""
        self.hash = LatentHash(hash, bits, width, seed)
        self.visited = EpisodicSet()

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Clear the visits of these environments; the first latent counts as visited."""
        self.visited.reset(env_ids)
        self.visited.add(env_ids, self.hash(latents))

    def score(self, transitions: Transitions) -> Array:
        """Return 1 where the next latent is new in its episode, float32 ``(B,)``."""
        known = self.visited.contains(transitions.env_ids, self.hash.of(transitions))
        return (~known).astype(np.float32)

    def update(self, transitions: Transitions) -> None:
        """Mark the next latents as visited."""
        self.visited.add(transitions.env_ids, self.hash.of(transitions))


class HashCounts(Bonus):
    """1 / sqrt(n) for the n-th visit of a hashed latent (Tang et al. 2017, arXiv:1611.04717).

    Equation 1 of the paper with beta = 1; ``NormalizedBonus`` sets the scale.
    """

    def __init__(
        self,
        hash: HashKind = "grid",
        bits: int = 32,
        width: float = 1.0,
        seed: int = 0,
        episodic: bool = False,
    ) -> None:
        """Count the keys of ``LatentHash(hash, bits, width, seed)``; errors as there.

        Args:
            hash: "grid" or "sign".
            bits: number of projections of "sign".
            width: cell width of "grid".
            seed: of the hash.
            episodic: whether the bonus is 0 after the first visit in an episode, as in a product
                with ``FirstVisits``; the lifelong counts still include every visit.
        """
        self.hash = LatentHash(hash, bits, width, seed)
        self.counter = LifelongCounter()
        self.first = FirstVisits(hash, bits, width, seed) if episodic else None

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes; the lifelong counts stay, and first latents do not count."""
        if self.first is not None:
            self.first.reset(env_ids, observations, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return 1 / sqrt(n), n including this visit, float32 ``(B,)``."""
        visits = self.counter.count(self.hash.of(transitions)) + 1.0
        bonus: Array = 1 / np.sqrt(visits, dtype=np.float32)
        return bonus if self.first is None else bonus * self.first.score(transitions)

    def update(self, transitions: Transitions) -> None:
        """Count the next latents."""
        self.counter.increment(self.hash.of(transitions))
        if self.first is not None:
            self.first.update(transitions)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the lifelong counts."""
        return self.counter.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the lifelong counts."""
        self.counter.load_state_dict(state)

    def metrics(self) -> dict[str, float]:
        """Return the number of distinct latents."""
        return {"distinct_latents": float(self.counter.distinct)}


@BONUSES.register("counts")
def counts(encoder: Encoder) -> HashCounts:
    """1 / sqrt(n) of the latent rounded to a grid, for first visits in an episode."""
    return HashCounts(width=LatentLayout.of(encoder).token_width, episodic=True)


@BONUSES.register("simhash")
def simhash(seed: int) -> HashCounts:
    """1 / sqrt(n) of the signs of 32 random projections, for first visits in an episode."""
    return HashCounts("sign", 32, seed=seed, episodic=True)
