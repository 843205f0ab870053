"""Bonuses of several bonuses."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from latentrl.novelty.base import Bonus, below, checked, hook
from latentrl.types import Array, Novelty

HORIZON = 1_000
"""States over which the curves of the parts' scores are averaged."""


class Combined(Bonus):
    """Several bonuses as one, with curves of what each of them scores."""

    def __init__(self, parts: Sequence[Novelty]) -> None:
        """Join ``parts``, of which there must be at least one, else ``ValueError``."""
        if not parts:
            raise ValueError("a combination needs at least one bonus")
        self.parts = list(parts)
        self.means = np.zeros(len(parts))
        """Mean score of each part over about the newest ``HORIZON`` states."""
        self._scores = np.zeros((len(parts), 0), np.float32)
        self._averaged = 0

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the combined bonus, float32 ``(B,)``."""
        parts = [
            checked(part, part.score(observations, latents), len(latents)) for part in self.parts
        ]
        self._scores = np.stack(parts)
        return self.join(self._scores)

    def join(self, scores: Array) -> Array:
        """Return the bonus ``(B,)`` of the parts' ``scores (parts, B)``."""
        raise NotImplementedError

    def update(self, observations: Array, latents: Array) -> None:
        """Let every part learn."""
        self._average()
        for part in self.parts:
            part.update(observations, latents)

    def _average(self) -> None:
        count = self._scores.shape[1]
        if count:
            self._averaged += count
            share = min(1.0, max(count / HORIZON, count / self._averaged))
            self.means += share * (self._scores.mean(1) - self.means)

    def act(self, actions: Array) -> None:
        """Tell every part."""
        for part in self.parts:
            hook(part, "act", actions)

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Tell every part."""
        for part in self.parts:
            hook(part, "begin", observations, latents, rows)

    def select(self, rows: Array) -> None:
        """Tell every part."""
        for part in self.parts:
            hook(part, "select", rows)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the states of the parts."""
        states = [hook(part, "state_dict") or {} for part in self.parts]
        return {
            f"{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        for i, part in enumerate(self.parts):
            hook(part, "load_state_dict", below(f"{i}.", state))

    def metrics(self) -> dict[str, float]:
        """Return the parts' own figures, and the mean score of each; equal names get numbers."""
        own = [item for part in self.parts for item in (hook(part, "metrics") or {}).items()]
        classes = numbered([type(part).__name__ for part in self.parts])
        names, values = zip(*own, *self.compared(classes).items(), strict=True)
        return dict(zip(numbered(names), values, strict=True))

    def compared(self, names: Sequence[str]) -> dict[str, float]:
        """Return figures that tell the parts, called ``names``, from each other."""
        return {f"mean_{name}": float(mean) for name, mean in zip(names, self.means, strict=True)}


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names, with numbers where one occurs several times: a, b_1, b_2; no two are
    equal.
    """
    unique: list[str] = []
    for name in names:
        numbers = (f"{name}_{number}" for number in itertools.count(1))
        several = names.count(name) > 1
        unique.append(
            next(new for new in numbers if new not in names and new not in unique)
            if several
            else name
        )
    return unique


class Product(Combined):
    """The product of bonuses: a life-long one times an episodic one (NGU: Badia et al. 2020,
    arXiv:2002.06038).
    """

    def join(self, scores: Array) -> Array:
        """Return the product."""
        product: Array = scores.prod(0)
        return product


class Sum(Combined):
    """The weighted sum of bonuses."""

    def __init__(self, parts: Sequence[Novelty], weights: Sequence[float]) -> None:
        """Join ``parts`` with one weight each, else ``ValueError``."""
        super().__init__(parts)
        if len(weights) != len(parts):
            raise ValueError(
                f"a sum of {len(parts)} bonuses needs as many weights, got {len(weights)}"
            )
        self.weights = np.array(weights, np.float32)

    def join(self, scores: Array) -> Array:
        """Return the weighted sum."""
        total: Array = self.weights @ scores
        return total

    def compared(self, names: Sequence[str]) -> dict[str, float]:
        """Return the mean scores, and the share of each part, with its weight, in the size of
        all.
        """
        sizes = np.abs(self.weights * self.means)
        shares = sizes / max(float(sizes.sum()), np.finfo(np.float64).tiny)
        return {
            **super().compared(names),
            **{f"share_{name}": float(share) for name, share in zip(names, shares, strict=True)},
        }
