"""Episodes that a policy plays, and their returns."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm

from latentrl.types import Array
from latentrl.utils.progress import progress_bar

EPISODE_LIMIT = 30_000
"""Timesteps after which an evaluation ends an episode that has no limit of its own. The longest
usual limit is that of Atari, 27,000 timesteps of 4 frames."""

Act = Callable[[Any, Array], Array]
"""From batched observations, and whether each is the first one of its episode, to actions."""
Policy = Literal["deterministic", "stochastic", "random"]
"""The mode of an agent's policy, samples of it, or uniform random actions."""


@dataclass(frozen=True)
class Evaluation:
    """Returns and lengths of the episodes of one evaluation."""

    returns: list[float]
    """Extrinsic return of each episode."""
    lengths: list[int]
    """Timesteps of each episode."""
    policy: Policy = "deterministic"
    """The policy that has played."""
    cut: int = 0
    """Episodes that were cut before their end, and count as they are."""
    successes: int | None = None
    """Episodes with a true ``info["is_success"]`` at their end, as SB3 reads it; None where an
    episode has none."""
    budget: int | None = None
    """Largest number of timesteps of a validation; None without one."""
    report: Path | None = field(default=None, compare=False)
    """File of these results; None where there is none."""

    def __add__(self, other: Evaluation) -> Evaluation:
        """Episodes of both evaluations of one policy."""
        return replace(
            self,
            returns=self.returns + other.returns,
            lengths=self.lengths + other.lengths,
            cut=self.cut + other.cut,
            successes=_sum((self.successes, other.successes)),
        )

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(np.std(self.returns))

    @property
    def minimum(self) -> float:
        """Lowest return."""
        return min(self.returns)

    @property
    def p10(self) -> float:
        """10 % quantile of the returns, interpolated linearly."""
        return float(np.quantile(self.returns, 0.1))

    @property
    def median(self) -> float:
        """Median return."""
        return float(np.median(self.returns))

    @property
    def not_positive(self) -> int:
        """Episodes without a positive return: failed ones, where success alone is rewarded."""
        return sum(value <= 0 for value in self.returns)

    def __str__(self) -> str:
        """Mean, standard deviation and quantiles of the returns in words."""
        names = ("minimum", "p10", "median")
        low = ", ".join(f"{name} {getattr(self, name):.4g}" for name in names)
        counts = f"; {self.cut} cut" if self.cut else ""
        if self.successes is not None:
            counts += f"; {self.successes} of {len(self.returns)} successful"
        return (
            f"{self.mean:.4g} +- {self.std:.4g} over {len(self.returns)} episodes of the "
            f"{self.policy} policy ({low}, maximum {max(self.returns):.4g}{counts})"
        )


def play(
    venv: VecEnv,
    act: Act,
    episodes: int,
    policy: Policy = "deterministic",
    *,
    bar: tqdm[Any] | None = None,
    limit: int = EPISODE_LIMIT,
    budget: int | None = None,
) -> Evaluation:
    """Play ``episodes`` episodes and return their results in the order of their seeds.

    Every environment plays the same number of episodes, give or take one. The first ``episodes``
    that end would be a biased sample: short episodes end first.

    An episode of ``limit`` timesteps counts as it is, with a warning. Its environment cannot be
    reset alone, and plays no more. At the end of the ``budget``, the first episode of an
    environment counts as it is, too. Of later episodes only whole rounds count, of one in each
    environment: those of a round that end within the budget are the short ones.

    Args:
        venv: monitored environments.
        act: what chooses the actions.
        episodes: number of episodes in all environments together.
        policy: name of what acts.
        bar: progress bar in episodes.
        limit: largest number of timesteps of an episode.
        budget: number of timesteps of all environments together after which play ends.
    """
    n = venv.num_envs
    played = [_Played(len(range(i, episodes, n))) for i in range(n)]
    bar = progress_bar(episodes, 0, "", "", show=False) if bar is None else bar
    steps = itertools.count(1) if budget is None else range(1, 1 + max(1, budget // n))
    try:
        _step_all(venv, act, played, bar, limit, steps)
    except BaseException:
        _say_what_ended(played, episodes)
        raise
    bar.update(sum(env.left for env in played))
    counted = _counted(played, episodes)
    return Evaluation(
        [episode.total for episode in counted],
        [episode.length for episode in counted],
        policy,
        sum(episode.cut for episode in counted),
        _sum([episode.success for episode in counted if not episode.cut]),
    )


def _say_what_ended(played: Sequence[_Played], episodes: int) -> None:
    ended = [episode.total for env in played for episode in env.episodes]
    if ended:
        words = f"{len(ended)} of {episodes} episodes had ended, the short ones first"
        tqdm.write(f"{words}, with a mean return of {np.mean(ended):.4g}", file=sys.stderr)


def _step_all(
    venv: VecEnv,
    act: Act,
    played: Sequence[_Played],
    bar: tqdm[Any],
    limit: int,
    steps: Iterable[int],
) -> None:
    """Step all environments until none has an episode left, or there are no more ``steps``."""
    observations, starts = venv.reset(), np.ones(len(played), bool)
    for step in steps:
        if not any(env.left for env in played):
            return
        observations, rewards, starts, infos = venv.step(act(observations, starts))
        bar.set_postfix_str(f"{step * len(played):,} timesteps", refresh=False)
        for env, reward, done, info in zip(played, rewards, starts, infos, strict=True):
            bar.update(env.add(float(reward), info if done else None, limit))


def actor(model: BaseAlgorithm, deterministic: bool) -> Act:
    """Return the policy as a function that acts.

    A recurrent policy keeps its state from one call to the next. A stochastic policy with gSDE
    keeps the matrix of its noise for ``sde_sample_freq`` steps, as in training; SB3's ``predict``
    never draws a new one.
    """
    every = getattr(model, "sde_sample_freq", -1)
    gsde = getattr(model, "use_sde", False) and not deterministic
    steps = itertools.count()
    state: Any = None

    def act(observations: Any, starts: Array) -> Array:
        nonlocal state
        step = next(steps)
        if gsde and (step == 0 or (every > 0 and step % every == 0)):
            model.policy.reset_noise(len(observations))  # type: ignore[operator]
        actions, state = model.predict(observations, state, starts, deterministic)
        return actions

    return act


class _Episode(NamedTuple):
    total: float
    length: int
    cut: bool
    success: bool | None = None


@dataclass
class _Played:
    """The episodes of one environment in an evaluation."""

    left: int
    episodes: list[_Episode] = field(default_factory=list)
    total: float = 0.0
    length: int = 0

    def add(self, reward: float, final: Mapping[str, Any] | None, limit: int) -> int:
        """Count one step, with the info of one that ended an episode; return how many it ended."""
        self.total += reward
        self.length += 1
        if not self.left or (final is None and self.length < limit):
            return 0
        if final is None:
            self.cut()
            warnings.warn(
                f"an episode has not ended in {limit:,} timesteps: it counts as it is, and its "
                "environment plays no more; set a limit with --max-episode-steps",
                UserWarning,
                stacklevel=3,
            )
            return 1
        record, success = final["episode"], final.get("is_success")
        known = None if success is None else bool(success)
        self.episodes.append(
            _Episode(float(record["r"]), int(record["l"]), cut=False, success=known)
        )
        self.left -= 1
        self.total, self.length = 0.0, 0
        return 1

    def cut(self) -> None:
        """Count the running episode as it is; the environment plays no more."""
        self.episodes.append(_Episode(self.total, self.length, cut=True))
        self.left = 0


def _counted(played: list[_Played], episodes: int) -> list[_Episode]:
    """Return the episodes that count, in the order of their seeds."""
    unfinished = [env for env in played if env.left]
    for env in unfinished:
        if not env.episodes:
            env.cut()
    rounds = min((len(env.episodes) for env in unfinished), default=episodes)
    ordered = (
        played[k % len(played)].episodes[k // len(played) :][:1]
        for k in range(min(episodes, rounds * len(played)))
    )
    return [episode for found in ordered for episode in found]


def _sum(counts: Sequence[int | None]) -> int | None:
    """Return the sum; None where there is no count, or one that is not known."""
    return None if None in counts or not counts else sum(count or 0 for count in counts)
