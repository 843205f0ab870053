"""Episodes that a policy plays, and their returns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from latentrl.types import Array
from latentrl.utils.progress import progress_bar

EPISODE_LIMIT = 30_000
"""Timesteps after which an evaluation ends an episode that has no limit of its own. The longest
usual limit is that of Atari, 27,000 timesteps of 4 frames."""

Act = Callable[[Any], Array]


@dataclass(frozen=True)
class Evaluation:
    """Returns and lengths of the episodes of one evaluation."""

    returns: list[float]
    """Extrinsic return of each episode."""
    lengths: list[int]
    """Timesteps of each episode."""

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(np.std(self.returns))

    def __str__(self) -> str:
        """Mean, standard deviation and range of the returns in words."""
        low, high = min(self.returns), max(self.returns)
        episodes = f"{len(self.returns)} episodes (from {low:.4g} to {high:.4g})"
        return f"{self.mean:.4g} +- {self.std:.4g} over {episodes}"


def play(
    venv: VecEnv, act: Act, episodes: int, progress: bool = False, limit: int = EPISODE_LIMIT
) -> Evaluation:
    """Play ``episodes`` episodes and return their results in the order of their seeds.

    Every environment plays the same number of episodes, give or take one. The first ``episodes``
    that end would be a biased sample: short episodes end first.

    An episode of ``limit`` timesteps counts as it is, with a warning. Its environment cannot be
    reset alone, and plays no more.

    Args:
        venv: monitored environments.
        act: from batched observations to batched actions.
        episodes: number of episodes in all environments together.
        progress: whether to show a progress bar.
        limit: largest number of timesteps of an episode.
    """
    n = venv.num_envs
    played = [_Played(len(range(i, episodes, n))) for i in range(n)]
    observations = venv.reset()
    with progress_bar(episodes, 0, "evaluating", "episode", progress) as bar:
        while any(env.left for env in played):
            observations, rewards, dones, infos = venv.step(act(observations))
            for env, reward, done, info in zip(played, rewards, dones, infos, strict=True):
                bar.update(env.add(float(reward), info["episode"] if done else None, limit))
    ordered = [played[k % n].episodes[k // n :][:1] for k in range(episodes)]
    found = [episode for one in ordered for episode in one]
    return Evaluation([float(e["r"]) for e in found], [int(e["l"]) for e in found])


@dataclass
class _Played:
    """The episodes of one environment in an evaluation."""

    left: int
    episodes: list[Mapping[str, Any]] = field(default_factory=list)
    total: float = 0.0
    length: int = 0

    def add(self, reward: float, ended: Mapping[str, Any] | None, limit: int) -> int:
        """Count one step, with the monitor's record if it ended; return the episodes it ended."""
        self.total += reward
        self.length += 1
        if not self.left or (ended is None and self.length < limit):
            return 0
        self.episodes.append(ended or {"r": self.total, "l": self.length})
        self.left = self.left - 1 if ended else 0
        if not ended:
            warnings.warn(
                f"an episode has not ended in {limit:,} timesteps: it counts as it is, and its "
                "environment plays no more; set a limit with --max-episode-steps",
                UserWarning,
                stacklevel=3,
            )
        self.total, self.length = 0.0, 0
        return 1
