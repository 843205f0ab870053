"""From raw bonuses to intrinsic rewards: unit, clipping, warm-up and weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from latentrl.novelty.base import Bonus, as_bonus, check_state, checked, grown, prefixed, substate
from latentrl.types import Array, Novelty, Transitions


class RunningVariance:
    """Variance of a stream of numbers that comes in batches."""

    def __init__(self) -> None:
        """Start with an empty stream."""
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0
        """``squares`` is the sum of squared deviations from the mean."""

    def update(self, values: Array) -> None:
        """Add ``values (B,)``."""
        # Chan, Golub and LeVeque 1983 (doi:10.1080/00031305.1983.10483115): the squares of two
        # samples of sizes m and n add up, plus delta^2 m n / (m + n) for the distance of their
        # means. Sums of x and x^2 instead would cancel where the mean is large.
        count, mean = len(values), float(values.mean())
        total = self.count + count
        delta = mean - self.mean
        within = float(np.square(values - mean).sum())
        self.squares += within + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation; 1 until two values differ."""
        return float(np.sqrt(self.squares / self.count)) if self.squares > 0 else 1.0


class NormalizedBonus(Bonus):
    """A bonus in units of the standard deviation of its own discounted returns.

    ``weight * clip(bonus / std, -clip, clip)`` is the intrinsic reward (Burda et al. 2018,
    arXiv:1810.12894, section 2.4). The returns do not end with an episode.
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
            weight: factor of the normalised bonus in the reward.
            gamma: discount factor of the returns.
            clip: largest magnitude of the normalised bonus.
            warmup: transitions, over all environments, with a reward of 0; bonus and unit are
                already updated by them.
            decay_steps: transitions over which the weight decreases linearly to 0; None keeps it
                constant.

        Raises:
            TypeError: ``novelty`` is no novelty bonus.
            ValueError: a value is out of range.
        """
        decay = 1 if decay_steps is None else decay_steps
        valid = weight >= 0 and warmup >= 0 and 0 <= gamma < 1 and clip > 0 and decay >= 1
        if not valid:  # a NaN is not
            raise ValueError(
                "NormalizedBonus needs weight >= 0, 0 <= gamma < 1, clip > 0, warmup >= 0 and "
                f"decay_steps >= 1 or None, got weight={weight}, gamma={gamma}, clip={clip}, "
                f"warmup={warmup}, decay_steps={decay_steps}"
            )
        self.bonus, self.weight, self.gamma, self.clip = as_bonus(novelty), weight, gamma, clip
        self.warmup, self.decay_steps = warmup, decay_steps
        self.count = 0
        """Transitions so far, over all environments."""
        self.variance = RunningVariance()
        self._returns = np.zeros(0)
        self._raw_sum, self._raw_count, self._was_read = 0.0, 0, False

    def reset(self, env_ids: Array, observations: Array, latents: Array) -> None:
        """Start new episodes of the bonus; the discounted returns continue."""
        self.bonus.reset(env_ids, observations, latents)

    def score(self, transitions: Transitions) -> Array:
        """Return the intrinsic rewards, float32 ``(B,)``; 0 during warm-up."""
        raw = checked(self.bonus, self.bonus.score(transitions), len(transitions))
        return self._rewards(raw)

    def update(self, transitions: Transitions) -> None:
        """Update the bonus and the unit."""
        self.step(transitions)

    def step(self, transitions: Transitions) -> Array:
        """Score, then update, by one ``step`` of the bonus."""
        raw = checked(self.bonus, self.bonus.step(transitions), len(transitions))
        rewards = self._rewards(raw)
        self._learn(transitions.env_ids, raw)
        return rewards

    def _rewards(self, raw: Array) -> Array:
        if self.count < self.warmup:
            return np.zeros_like(raw)
        scaled = np.clip(raw / self.variance.std, -self.clip, self.clip)
        rewards: Array = (self.current_weight * scaled).astype(np.float32)
        return rewards

    def _learn(self, env_ids: Array, raw: Array) -> None:
        # A return sums the future, which is not known yet. Over a long run the discounted sum of
        # the past, R <- gamma R + r, has the same distribution; RND's code uses it, too.
        self._returns = grown(self._returns, env_ids)
        self._returns[env_ids] = self.gamma * self._returns[env_ids] + raw
        self.variance.update(self._returns[env_ids])
        self._add_raw(raw)
        self.count += len(raw)

    def _add_raw(self, raw: Array) -> None:
        if self._was_read:
            self._raw_sum, self._raw_count, self._was_read = 0.0, 0, False
        self._raw_sum += float(raw.sum(dtype=np.float64))
        self._raw_count += len(raw)

    @property
    def current_weight(self) -> float:
        """Weight after the transitions so far."""
        if self.decay_steps is None:
            return self.weight
        return self.weight * max(0.0, 1 - self.count / self.decay_steps)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the number of transitions, the unit, the returns and the bonus's state."""
        unit = [self.variance.count, self.variance.mean, self.variance.squares]
        own = {
            "count": torch.tensor(self.count),
            "returns": torch.from_numpy(self._returns.copy()),
            "variance": torch.tensor(unit, dtype=torch.float64),
        }
        return {**own, **prefixed("bonus.", self.bonus.state_dict())}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state_dict`` returned."""
        check_state(self.name, state, "count", "returns", "variance")
        self.count = int(state["count"])
        self._returns = state["returns"].numpy().copy()
        unit = self.variance
        unit.count, unit.mean, unit.squares = map(float, state["variance"])
        self.bonus.load_state_dict(substate("bonus.", state))

    def metrics(self) -> dict[str, float]:
        """Return the mean raw bonus, the unit, the weight, and the bonus's metrics.

        The mean is that of the steps since the last call; without any it stays as it was.
        """
        self._was_read = True
        mean = self._raw_sum / max(1, self._raw_count)
        own = {"raw_bonus": mean, "return_std": self.variance.std}
        return {**own, "weight": self.current_weight, **self.bonus.metrics()}
