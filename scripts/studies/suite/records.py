"""Results of the suite on disk, and differences of arms with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latentrl.types import Array
from scripts.studies.agent_runs import Axis, Record
from scripts.studies.suite.tasks import ARMS, RANDOM_ACTIONS, runs

RESAMPLES, LEVEL = 5_000, 95
PLACES = 200
"""Evenly spaced places over which a curve is averaged."""


@dataclass(frozen=True)
class Difference:
    """Mean difference of the returns of two arms, and its confidence interval over seeds."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``"ahead"``, ``"behind"``, or ``"open"`` where the interval holds 0."""
        return "ahead" if self.low > 0 else "behind" if self.high < 0 else "open"


def records(env: str) -> dict[str, list[Record]]:
    """Return the results of an environment by arm, in the order of the seeds."""
    found: dict[str, list[Record]] = {arm: [] for arm in ARMS}
    for run in runs([env]):
        if run.result.exists():
            found[run.arm].append(Record.read(run.result))
    return found


def check_minutes(agents: Sequence[Record]) -> None:
    """Check that results are comparable.

    Raises:
        ValueError: the runs had different minutes.
    """
    minutes = sorted({record.data["minutes"] for record in agents})
    if len(minutes) > 1:
        raise ValueError(
            f"the runs had {' and '.join(f'{each:g}' for each in minutes)} minutes: delete the "
            "results of one of these"
        )


def random_return(found: Mapping[str, Sequence[Record]]) -> float:
    """Mean return of random actions; 0 without a result."""
    return float(np.mean([r.data["stochastic"]["mean"] for r in found[RANDOM_ACTIONS]] or [0.0]))


def difference(
    found: Mapping[str, Sequence[Record]], arm: str, other: str, axis: Axis, whole: bool = False
) -> Difference | None:
    """Return the difference of two arms where both have come to; None without results of both.

    Args:
        found: results by arm.
        arm: the arm whose returns count positively.
        other: the other arm.
        axis: what both arms have in common at that place.
        whole: whether to average over all places up to there, so that early learning counts.
    """
    both = [*found[arm], *found[other]]
    if not found[arm] or not found[other]:
        return None
    # A run without a finished episode has no end of its own.
    end = min([r.reached(axis) for r in both if r.reached(axis)], default=0.0)
    places = np.linspace(0, end, PLACES + 1)[1:] if whole else np.array([end])
    before = random_return(found)
    returns = [
        np.array([record.return_at(axis, places, before).mean() for record in found[name]])
        for name in (arm, other)
    ]
    low, high = bootstrap(*returns)
    return Difference(float(returns[0].mean() - returns[1].mean()), low, high)


def bootstrap(one: Array, other: Array) -> tuple[float, float]:
    """Return the 95 % percentile interval of the difference of two means (Efron 1979).

    Runs are resampled in each arm. Of one run per arm there is no interval: its bounds are
    infinite.
    """
    if min(len(one), len(other)) < 2:
        return -np.inf, np.inf
    rng = np.random.default_rng(0)
    means = [
        values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
        for values in (one, other)
    ]
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(means[0] - means[1], [tail, 100 - tail])
    return float(low), float(high)


def changing(record: Record) -> float | None:
    """Explained variance of changing pixels of a pretrained encoder; None where it is unknown."""
    value = (record.data["pretraining"].get("quality") or {}).get("changing")
    return None if value is None else float(value)
