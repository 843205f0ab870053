"""From raw bonuses to rewards: units, clipping, warm-up, weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import below, check_novelty, checked, grown, hook, rows_for
from latentrl.types import Array, Novelty


class RunningVariance:
    """The variance of a stream, by batches (Chan et al. 1983)."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0

    def update(self, values: Array) -> None:
        """Add ``values (B,)``."""
        count, mean = len(values), float(values.mean())
        total, delta = self.count + count, mean - self.mean
        self.squares += (
            float(np.square(values - mean).sum()) + delta**2 * self.count * count / total
        )
        self.mean += delta * count / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation; 1 before there is any."""
        return float(np.sqrt(self.squares / self.count)) if self.squares > 0 else 1.0


class NormalizedBonus:
    """A novelty in units of its own discounted returns, as part of a reward (Burda et al. 2018,
    arXiv:1810.12894).

    ``weight * clip(bonus / std of discounted sums of bonuses)``. The sums never end with an
    episode.
    """

    def __init__(
        self,
        novelty: Novelty,
        weight: float = 0.01,
        gamma: float = 0.99,
        clip: float = 5.0,
        warmup: int = 1_000,
        decay_steps: int | None = None,
    ) -> None:
        """Scale ``novelty``.

        Args:
            novelty: any object with ``score`` and ``update``.
            weight: of the scaled bonus in the reward.
            gamma: discount of the sums whose spread is the unit.
            clip: largest scaled bonus.
            warmup: states, counted over all environments, that teach novelty and unit before any
                bonus is paid.
            decay_steps: states over which the weight falls to 0, linearly; None keeps it.

        Raises:
            TypeError: ``novelty`` is none.
            ValueError: a value has no meaning.
        """
        check_novelty(novelty)
        ends = 1 if decay_steps is None else decay_steps
        if min(weight, warmup) < 0 or not 0 <= gamma < 1 or not clip > 0 or ends < 1:
            raise ValueError(
                "scaling needs weight >= 0, 0 <= gamma < 1, clip > 0, warmup >= 0 and decay_steps >= 1 or None, got "
                f"weight={weight}, gamma={gamma}, clip={clip}, warmup={warmup}, decay_steps={decay_steps}"
            )
        self.novelty, self.weight, self.gamma, self.clip = novelty, weight, gamma, clip
        self.warmup, self.decay_steps = warmup, decay_steps
        self.seen = 0
        self.unit = RunningVariance()
        self._sums = np.zeros(0)
        self._raw = np.zeros(0, np.float32)
        self._rows: Array | None = None

    def score(self, observations: Array, latents: Array) -> Array:
        """Return the bonus as a reward, float32 ``(B,)``; 0 while warming up."""
        self._raw = checked(self.novelty, self.novelty.score(observations, latents), len(latents))
        if self.seen < self.warmup:
            return np.zeros_like(self._raw)
        scaled = np.clip(self._raw / self.unit.std, -self.clip, self.clip)
        paid: Array = (self.current_weight * scaled).astype(np.float32)
        return paid

    def update(self, observations: Array, latents: Array) -> None:
        """Learn from the states that ``score`` has just seen."""
        rows = rows_for(self._rows, len(latents))
        self._sums = grown(self._sums, rows)
        self._sums[rows] = self.gamma * self._sums[rows] + self._raw
        self.unit.update(self._sums[rows])
        self.seen += len(latents)
        self.novelty.update(observations, latents)

    @property
    def current_weight(self) -> float:
        """The weight after the states seen so far."""
        if self.decay_steps is None:
            return self.weight
        return self.weight * max(0.0, 1 - self.seen / self.decay_steps)

    def act(self, actions: Array) -> None:
        """Tell the novelty."""
        hook(self.novelty, "act", actions)

    def begin(self, observations: Array, latents: Array, rows: Array) -> None:
        """Tell the novelty."""
        hook(self.novelty, "begin", observations, latents, rows)

    def select(self, rows: Array) -> None:
        """Keep the sums of these environments, and tell the novelty."""
        self._rows = rows
        hook(self.novelty, "select", rows)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that must be kept to resume."""
        own = {"seen": torch.tensor(self.seen), "sums": torch.from_numpy(self._sums.copy())}
        own["unit"] = torch.tensor(
            [self.unit.count, self.unit.mean, self.unit.squares], dtype=torch.float64
        )
        inner = hook(self.novelty, "state_dict") or {}
        return {**own, **{f"novelty.{name}": value for name, value in inner.items()}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what ``state`` returned."""
        self.seen, self._sums = int(state["seen"]), state["sums"].numpy().copy()
        self.unit.count, self.unit.mean, self.unit.squares = map(float, state["unit"])
        hook(self.novelty, "load_state_dict", below("novelty.", state))

    def metrics(self) -> dict[str, float]:
        """Return the raw mean, the unit, the weight, and the novelty's own figures."""
        own = {"raw": float(self._raw.mean()) if len(self._raw) else 0.0, "unit": self.unit.std}
        inner = hook(self.novelty, "metrics") or {}
        return {**own, "weight": self.current_weight, **inner}
