"""Bonuses of several bonuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from latentrl.novelty.base import Bonus, checked, hook
from latentrl.types import Array, Novelty


class Combined(Bonus):
    """Several bonuses as one; what they score is kept for the curves."""

    def __init__(self, parts: Sequence[Novelty]) -> None:
        """Join ``parts``, of which there must be at least one, else ``ValueError``."""
        if not parts:
            raise ValueError("a combination needs at least one bonus")
        self.parts = list(parts)
        self.means = np.zeros(len(parts))

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the combined bonus, float32 ``(B,)``."""
        scores = np.stack([checked(part, part.score(observations, latents), len(latents)) for part in self.parts])
        self.means = scores.mean(1)
        return self.join(scores)

    def join(self, scores: Array) -> Array:
        """Return the bonus ``(B,)`` of the parts' ``scores (parts, B)``."""
        raise NotImplementedError

    def update(self, observations: Array, latents: Array) -> None:
        """Let every part learn."""
        for part in self.parts:
            part.update(observations, latents)

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

    def state(self) -> dict[str, Tensor]:
        """Return the states of the parts."""
        states = [hook(part, "state") or {} for part in self.parts]
        return {f"{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        for i, part in enumerate(self.parts):
            prefix = f"{i}."
            inner = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
            hook(part, "load_state", inner)

    def figures(self) -> dict[str, float]:
        """Return the parts' own figures, and the mean score of each."""
        figures = {name: value for part in self.parts for name, value in (hook(part, "figures") or {}).items()}
        names = [type(part).__name__ for part in self.parts]
        return {**figures, **{f"mean_{name}": float(mean) for name, mean in zip(names, self.means, strict=True)}}


class Product(Combined):
    """The product of bonuses: a life-long one times an episodic one (NGU: Badia et al. 2020, arXiv:2002.06038)."""

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
            raise ValueError(f"a sum of {len(parts)} bonuses needs as many weights, got {len(weights)}")
        self.weights = np.array(weights, np.float32)

    def join(self, scores: Array) -> Array:
        """Return the weighted sum."""
        total: Array = self.weights @ scores
        return total
