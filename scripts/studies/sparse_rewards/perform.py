"""Sparse rewards: agents with a bonus and without, over tasks and seeds, each run resumable and
kept as a small CSV.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from agents.bonuses import RECIPES
from agents.checkpoint import read_agent
from agents.evaluate import evaluate_agent
from agents.pretrain import PretrainConfig, pretrain
from agents.runs import RUNS
from agents.train import TrainConfig, train
from latentrl.training.checkpoint import load
from latentrl.utils.io import read_json, write_atomically, write_json

FOLDER = RUNS / "studies" / "sparse"
RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results" / "sparse"
NO_BONUS = "none"
UNSEEN_EPISODES = 200
RL_ZOO = "RL Zoo's PPO, from symbols: return 0.000 after 10M"
MOST_ROWS = 500
"""Of a CSV, evenly spaced."""
CURVE = {
    "decisions": "time/total_timesteps",
    "return": "rollout/ep_rew_mean",
    "length": "rollout/ep_len_mean",
    "bonus": "novelty/bonus",
    "seconds": "time/time_elapsed",
}
"""Columns of a run's CSV, and where its training logged them; seconds since it was begun, or gone
on with."""


@dataclass(frozen=True)
class Task:
    """One environment, how long agents learn in it, and what is to be reached."""

    env: str
    """Gymnasium id."""
    decisions: int
    """Of each agent; an environment frame each."""
    seeds: int = 5
    """Agents of each kind."""
    algo: Literal["ppo", "dqn"] = "ppo"
    """Algorithm."""
    arms: Sequence[str] = ("parts", NO_BONUS)
    """Bonuses to compare."""
    weight: float | None = None
    """Of the bonus; None is the default."""
    measure: Literal["success", "return"] = "success"
    """What the goal is about: the share of episodes with a reward, or the mean return."""
    goal: float = 0.9
    """Least value to be reached."""
    known: str = ""
    """What others have reached."""


TASKS = {
    "DoorKey-8x8": Task(
        "MiniGrid-DoorKey-8x8-v0", 200_000, known="DEIR: return .91 after 123k, RE3 .49 after 2.4M"
    ),
    "MultiRoom-N4-S5": Task(
        "MiniGrid-MultiRoom-N4-S5-v0",
        400_000,
        measure="return",
        goal=0.7,
        known=RL_ZOO,
    ),
    "MultiRoom-N6": Task(
        "MiniGrid-MultiRoom-N6-v0",
        1_000_000,
        measure="return",
        goal=0.6,
        known="SB3's PPO with RND: return .316 after 2M",
    ),
    "KeyCorridorS3R3": Task(
        "MiniGrid-KeyCorridorS3R3-v0",
        800_000,
        3,
        measure="return",
        goal=0.8,
        known="SB3 with any bonus: 0 after 3M",
    ),
    "LockedRoom": Task(
        "MiniGrid-LockedRoom-v0",
        3_000_000,
        3,
        arms=("parts_counts", NO_BONUS),
        goal=0.0,
        known=RL_ZOO,
    ),
    "ObstructedMaze-2Dlh": Task(
        "MiniGrid-ObstructedMaze-2Dlh-v0",
        3_000_000,
        3,
        goal=0.0,
        known=RL_ZOO,
    ),
    "KeyRooms": Task("KeyRooms-v0", 100_000, algo="dqn", arms=("places", NO_BONUS), weight=0.05),
}


@dataclass(frozen=True)
class Run:
    """One agent of a study."""

    task: str
    """Name in ``TASKS``."""
    arm: str
    """Its bonus, or ``NO_BONUS``."""
    seed: int
    """Of encoder, environments and agent."""

    @property
    def name(self) -> str:
        """Task, arm and seed as a relative path."""
        return f"{self.task}/{self.arm}-{self.seed}"

    @property
    def result(self) -> Path:
        """The file with its configuration and evaluations; the curve is beside it, as CSV."""
        return RESULTS / f"{self.name}.json"


def runs(
    tasks: Sequence[str] = (), arms: Sequence[str] = (), seeds: int | None = None
) -> Iterator[Run]:
    """Yield the runs of these tasks, arms and first seeds; all of them where not given.

    Raises:
        ValueError: a task or an arm is unknown, or there are no seeds.
    """
    for kind, given, known in (("task", tasks, list(TASKS)), ("arm", arms, [*RECIPES, NO_BONUS])):
        for name in given:
            if name not in known:
                raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    for name in tasks or TASKS:
        task = TASKS[name]
        for arm in arms or task.arms:
            yield from (Run(name, arm, seed) for seed in range(seeds or task.seeds))


def perform(run: Run) -> Path:
    """Pretrain, train and evaluate, as far as it has not been done, and return the file of the
    result.
    """
    if run.result.exists():
        return run.result
    torch.set_num_threads(1)  # as many runs as cores are faster than many threads
    folder = FOLDER / run.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        encoder = _encoder(TASKS[run.task], run.seed)
        config = _training(run, encoder)
        train(config)
        _write_curve(folder, run.result.with_suffix(".csv"))
        write_json(run.result, _record(run, encoder))
    return run.result


def _encoder(task: Task, seed: int) -> Path:
    path = FOLDER / "encoders" / f"{task.env}-{seed}"
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the runs with a bonus and without share it
        if not (path / "done.json").exists():
            begun = (path / "pretraining.json").exists()
            made = pretrain(PretrainConfig(task.env, seed=seed, out=path, resume=begun))
            seconds = made.collect_seconds + made.fit_seconds
            write_json(path / "done.json", {"frames": len(made.frames), "seconds": seconds})
    return path


def _training(run: Run, encoder: Path) -> TrainConfig:
    task, out = TASKS[run.task], FOLDER / run.name
    return TrainConfig(
        task.env,
        vae=encoder,
        algo=task.algo,
        timesteps=task.decisions,
        novelty=None if run.arm == NO_BONUS else run.arm,
        novelty_weight=None if run.arm == NO_BONUS else task.weight,
        backend="gymnasium",  # whose levels they are; EnvPool's threads disturb runs side by side
        eval_every=max(50_000, task.decisions // 10),
        out=out,
        seed=run.seed,
        resume=(out / "training.json").exists(),
    )


def _write_curve(folder: Path, file: Path) -> None:
    rows = [
        [row.get(source, "") for source in CURVE.values()]
        for row in _logged(folder)
        if row.get(CURVE["decisions"])
    ]
    thinned = rows[:: -max(1, -(-len(rows) // MOST_ROWS))][
        ::-1
    ]  # from the end, which is always kept
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda part: _write_rows(part, [list(CURVE), *thinned]))


def _logged(folder: Path) -> list[dict[str, str]]:
    """Return what training logged; of a resumed run, what it did again stands only once."""
    rows: list[dict[str, str]] = []
    for file in sorted(folder.glob("progress-*.csv")):
        begin = int(file.stem.removeprefix("progress-"))
        rows = [row for row in rows if 0 < int(row.get(CURVE["decisions"]) or 0) <= begin]
        with file.open(newline="", encoding="utf-8") as lines:
            rows += list(csv.DictReader(lines))
    return rows


def _write_rows(file: Path, rows: list[list[str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines, lineterminator="\n").writerows(rows)


def _record(run: Run, encoder: Path) -> dict[str, Any]:
    folder = FOLDER / run.name
    agent, _, notes = read_agent(folder / "last")
    return {
        "run": dataclasses.asdict(run),
        "decisions": notes["decisions"],
        "training": read_json(folder / "training.json"),
        "agent": agent.to_json(),
        "encoder": dataclasses.asdict(load(encoder, "cpu").config),
        "pretraining": {
            **read_json(encoder / "done.json"),
            "settings": read_json(encoder / "pretraining.json"),
        },
        "deterministic": _played(folder, deterministic=True),
        "stochastic": _played(folder, deterministic=False),
    }


def _played(folder: Path, deterministic: bool) -> dict[str, float]:
    result = evaluate_agent(
        folder,
        UNSEEN_EPISODES,
        deterministic=deterministic,
        checkpoint="last",
        progress=False,
        device="cpu",
    )
    returns = np.array(result.returns)
    return {
        "success": float((returns > 0).mean()),
        "return": float(returns.mean()),
        "episodes": len(returns),
    }
