"""Results on disk, their comparability, and confidence intervals over agents."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentrl.types import Array
from latentrl.utils.io import read_json
from latentrl.utils.settings import check_same_settings
from scripts.studies.sparse_rewards.tasks import NO_BONUS, RESULTS, TASKS

RESAMPLES, LEVEL = 5_000, 95
POINTS = 200
"""Points of an interpolated learning curve."""
MODES = "deterministic", "stochastic"
OF_SEED = "seed", "out", "resume", "vae", "losses", "option"
"""Flags in which agents of one task and their encoders may differ; weights of losses are chosen
from the frames, and what else is an option of the pretraining is compared in the encoder."""
OF_BONUS = "novelty", "novelty_weight", "self_imitation"
"""Flags in which the bonuses of a task may differ."""
BEFORE = {
    "training": {"self_imitation": False},
    "agent": {"encoder": "encoder", "episodic_count": False, "pixel_range": None},
}
"""Settings that older results did not have."""
OF_CONTINUOUS = ("scaled_actions",)
"""Settings of an agent that change nothing, as all tasks have discrete actions."""
COMPARED = "training", "pretraining", "agent", "encoder"
Record = dict[str, Any]


def records(task: str, bonus: str) -> list[Record]:
    """Return the results of the runs of a task with a bonus, by seed; ``curve`` is their CSV."""
    files = sorted((RESULTS / task).glob(f"{bonus}-*.json"))
    return [{**read_json(file), "curve": file.with_suffix(".csv")} for file in files]


def bonuses_with_results(task: str) -> list[str]:
    """Return the bonuses of a task that have results: its own, then others, no bonus last."""
    found = {file.stem.rpartition("-")[0] for file in (RESULTS / task).glob("*.json")}
    own = [bonus for bonus in TASKS[task].bonuses if bonus != NO_BONUS]
    order = [*own, *sorted(found - {*own, NO_BONUS}), NO_BONUS]
    return [bonus for bonus in order if bonus in found]


def check_comparable(task: str, by_bonus: Mapping[str, Sequence[Record]]) -> None:
    """Raise ``ValueError`` unless agents of a task differ in seed and bonus alone."""
    first = next((record for found in by_bonus.values() for record in found), None)
    for found in by_bonus.values():
        for record in found:
            _check_pair(task, first, record, (*OF_SEED, *OF_BONUS))
            _check_pair(task, found[0], record, OF_SEED)


def _check_pair(task: str, one: Record | None, other: Record, ignored: Sequence[str]) -> None:
    assert one is not None
    name, other_name = (f"{record['curve'].stem} of {task}" for record in (one, other))
    remedy = f"{other_name} must differ in seed and bonus only; delete the older result"
    for key in COMPARED:
        check_same_settings(_settings(one, key), _settings(other, key), name, remedy, ignored)


def _settings(record: Record, key: str) -> dict[str, Any]:
    # Frames and seconds of the pretraining are measurements, its config is a setting.
    settings: dict[str, Any] = record[key]["config"] if key == "pretraining" else record[key]
    settings = {**BEFORE.get(key, {}), **settings}
    return {name: value for name, value in settings.items() if name not in OF_CONTINUOUS}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the bootstrapped 95 % confidence interval of the mean over agents."""
    low, high = bounds(np.asarray(values, float)[:, None])
    return float(low[0]), float(high[0])


def bounds(values: Array) -> Array:
    """Return the lower and upper bounds ``(2, T)`` of the mean of ``values``, ``(agents, T)``."""
    # Whole agents are resampled, not points of their curves, which are correlated (percentile
    # bootstrap, Efron 1979).
    chosen = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    tails = [(100 - LEVEL) / 2, (100 + LEVEL) / 2]
    limits: Array = np.percentile(values[chosen].mean(1), tails, axis=0)
    return limits


def env_frames(record: Record, timesteps: Any) -> Any:
    """Return the env frames of a run after ``timesteps``, those of the pretraining included."""
    skip = record["agent"]["environment"]["frame_skip"]
    return (timesteps + record["pretraining"]["frames"]) * skip


def curves(found: Sequence[Record]) -> tuple[Array, Array]:
    """Return frames ``(POINTS,)`` and the mean return of recent episodes, ``(agents, POINTS)``."""
    points = [_curve(record) for record in found]
    start = max(env_frames(record, 0) for record in found)
    frames = np.linspace(start, min(x[-1] for x, _ in points), POINTS)
    # Before the first finished episode there is no return yet, which the plot shows as 0.
    return frames, np.stack([np.interp(frames, x, y, left=0.0) for x, y in points])


def _curve(record: Record) -> tuple[Array, Array]:
    with record["curve"].open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["return"]]
    timesteps = np.array([int(row["timesteps"]) for row in rows])
    returns = np.array([float(row["return"]) for row in rows])
    return env_frames(record, timesteps), returns
