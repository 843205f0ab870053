"""Products and sums of bonuses."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from latentrl.novelty.base import Bonus, as_bonus, checked, describe, prefixed, substate
from latentrl.types import Array, Novelty, Transitions

HORIZON = 1_000
"""Transitions over which the mean scores of the metrics are averaged."""


class Combined(Bonus):
    """Several bonuses as one, with the mean score of each component among the metrics."""

    def __init__(self, bonuses: Sequence[Novelty]) -> None:
        """Combine ``bonuses``.

        Raises:
            ValueError: there is none.
            TypeError: one of them is no novelty bonus, or they are no sequence.
        """
        if not isinstance(bonuses, Sequence):
            raise TypeError(
                f"{type(self).__name__} takes a list of bonuses, got {type(bonuses).__name__}"
            )
        if not bonuses:
            raise ValueError("a combination needs at least one bonus")
        self.bonuses = [as_bonus(bonus) for bonus in bonuses]
        self.means = np.zeros(len(bonuses))
        """Mean score of each component over about the newest ``HORIZON`` transitions."""
        self._averaged = 0

    @abstractmethod
    def combine(self, scores: Array) -> Array:
        """Return the bonus ``(B,)`` of the components' ``scores (components, B)``."""

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes in every component."""
        for bonus in self.bonuses:
            bonus.reset(env_ids, observations, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return the combined bonus, float32 ``(B,)``."""
        scores = [(bonus, bonus.score(transitions)) for bonus in self.bonuses]
        return self.combine(_stacked(scores, len(transitions)))

    def update(self, transitions: Transitions) -> None:
        """Update every component, and the mean scores."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, by one ``step`` of each component."""
        scores = [(bonus, bonus.step(transitions)) for bonus in self.bonuses]
        stacked = _stacked(scores, len(transitions))
        self._average(stacked)
        return self.combine(stacked)

    def _average(self, scores: Array) -> None:
        count = scores.shape[1]
        self._averaged += count
        # The plain mean of the first HORIZON transitions, an exponential one from there on.
        rate = min(1.0, max(count / HORIZON, count / self._averaged))
        self.means += rate * (scores.mean(1) - self.means)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the states of the components, each below its index."""
        states = (prefixed(f"{i}.", bonus.state_dict()) for i, bonus in enumerate(self.bonuses))
        return {name: value for state in states for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the components.

        Raises:
            ValueError: the state is that of another bonus, or of more components.
        """
        known = {str(i) for i in range(len(self.bonuses))}
        if not all(name.partition(".")[0] in known for name in state):
            raise ValueError(
                f"{self.name} expected states of {len(self.bonuses)} components, got "
                f"{describe(state)}: it is that of another bonus"
            )
        for i, bonus in enumerate(self.bonuses):
            bonus.load_state_dict(substate(f"{i}.", state))

    def metrics(self) -> dict[str, float]:
        """Return the components' metrics and mean scores; repeated names are numbered."""
        own = [item for bonus in self.bonuses for item in bonus.metrics().items()]
        components = numbered([bonus.name for bonus in self.bonuses])
        names, values = zip(*own, *self.comparison(components).items(), strict=True)
        return dict(zip(numbered(names), values, strict=True))

    def comparison(self, names: Sequence[str]) -> dict[str, float]:
        """Return the mean score of each component, the components being called ``names``."""
        return {f"mean_{name}": float(mean) for name, mean in zip(names, self.means, strict=True)}


def _stacked(scores: Sequence[tuple[Bonus, Array]], count: int) -> Array:
    return np.stack([checked(bonus, values, count) for bonus, values in scores])


def numbered(names: Sequence[str]) -> list[str]:
    """Return unique names: one that occurs several times is numbered, as in a, b_1, b_2."""
    unique: list[str] = []
    for name in names:
        if names.count(name) > 1:
            candidates = (f"{name}_{number}" for number in itertools.count(1))
            name = next(new for new in candidates if new not in names and new not in unique)
        unique.append(name)
    return unique


class Product(Combined):
    """Product of bonuses, such as a lifelong and an episodic one.

    Never Give Up combines them in this way (Badia et al. 2020, arXiv:2002.06038, equation 1).
    """

    def combine(self, scores: Array) -> Array:
        """Return the product, float32 ``(B,)``."""
        product: Array = scores.prod(0)
        return product


class Sum(Combined):
    """Weighted sum of bonuses."""

    def __init__(self, bonuses: Sequence[Novelty], weights: Sequence[float]) -> None:
        """Combine ``bonuses`` with one weight each; another number raises ``ValueError``."""
        super().__init__(bonuses)
        if len(weights) != len(bonuses):
            raise ValueError(
                f"a sum of {len(bonuses)} bonuses needs as many weights, got {len(weights)}"
            )
        self.weights = np.array(weights, np.float32)

    def combine(self, scores: Array) -> Array:
        """Return the weighted sum, float32 ``(B,)``."""
        total: Array = self.weights @ scores
        return total

    def comparison(self, names: Sequence[str]) -> dict[str, float]:
        """Return the mean scores, and the fraction of each in the sum of weighted magnitudes."""
        magnitudes = np.abs(self.weights * self.means)
        fractions = magnitudes / max(float(magnitudes.sum()), np.finfo(np.float64).tiny)
        return {
            **super().comparison(names),
            **{f"fraction_{name}": float(f) for name, f in zip(names, fractions, strict=True)},
        }
