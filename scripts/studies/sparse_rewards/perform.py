"""One run of the study: pretrain an encoder, train an agent, evaluate it, keep the result."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.checkpoint import read_agent
from agents.evaluate import evaluate_agent
from agents.pretrain import PretrainConfig, pretrain
from agents.train import train
from agents.train_config import TrainConfig
from latentrl.data.frames import evenly_spaced
from latentrl.training.checkpoint import load
from latentrl.utils.io import read_json, write_csv, write_json
from scripts.studies.agent_runs import TIMESTEPS, logged_rows, save_untrained
from scripts.studies.core import FOLDER
from scripts.studies.sparse_rewards.tasks import TASKS, Run, Task

RUNS = FOLDER / "sparse_rewards"
EPISODES = 200
"""Held-out episodes of an evaluation."""
MOST_ROWS = 500
"""Most rows of a learning curve."""
CURVE = {
    "timesteps": TIMESTEPS,
    "return": "rollout/ep_rew_mean",
    "length": "rollout/ep_len_mean",
    "intrinsic_reward": "novelty/intrinsic_reward",
    "seconds": "time/time_elapsed",
}
"""Columns of a learning curve and their names in SB3's log; seconds start anew on resume."""


def perform(run: Run) -> Path:
    """Pretrain, train and evaluate, resuming where it stopped; return the file of the result."""
    if run.result.exists():
        return run.result
    torch.set_num_threads(1)  # as many runs as cores are faster than many threads
    folder = RUNS / run.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        encoder = _encoder(TASKS[run.task], run.seed)
        train(_train_config(run, encoder))
        write_curve(folder, run.result.with_suffix(".csv"))
        # The JSON file comes last: its existence marks a finished run.
        write_json(run.result, _record(run, encoder))
    return run.result


def _encoder(task: Task, seed: int) -> Path:
    path = RUNS / "encoders" / f"{task.env}-{seed}"
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("w") as lock:
        # Runs of one seed with and without a bonus share an encoder: the second waits here.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path / "done.json").exists():
            started = (path / "pretraining.json").exists()
            flags = {"untuned": task.untuned, "seed": seed, "out": path, "resume": started}
            result = pretrain(PretrainConfig(task.env, **flags))
            seconds = result.collect_seconds + result.fit_seconds
            write_json(path / "done.json", {"frames": len(result.frames), "seconds": seconds})
    return _untrained(path, seed) if task.random_encoder else path


def _untrained(path: Path, seed: int) -> Path:
    out = path.with_name(f"{path.name}-random")
    if not (out / "done.json").exists():
        save_untrained(path, out, seed)
        write_json(out / "pretraining.json", read_json(path / "pretraining.json"))
        write_json(out / "done.json", {"frames": 0, "seconds": 0.0})
    return out


def _train_config(run: Run, encoder: Path) -> TrainConfig:
    task, out = TASKS[run.task], RUNS / run.name
    return TrainConfig(
        task.env,
        vae=encoder,
        untuned=task.untuned,
        algo=task.algo,
        timesteps=task.timesteps,
        novelty=run.novelty,
        novelty_weight=None if run.novelty is None else task.weight,
        self_imitation=run.imitates_itself,
        backend="gymnasium",  # EnvPool's threads slow parallel runs down, and its levels differ
        eval_every=max(50_000, task.timesteps // 10),
        out=out,
        seed=run.seed,
        resume=(out / "training.json").exists(),
    )


def write_curve(folder: Path, file: Path) -> None:
    """Write the learning curve of a training run as CSV of at most ``MOST_ROWS`` rows."""
    rows = [
        [row.get(source, "") for source in CURVE.values()]
        for row in logged_rows(folder)
        if row.get(TIMESTEPS)
    ]
    kept = [*evenly_spaced(len(rows), MOST_ROWS)[:-1], len(rows) - 1] if rows else []
    write_csv(file, [list(CURVE), *(rows[i] for i in kept)])


def _record(run: Run, encoder: Path) -> dict[str, Any]:
    folder = RUNS / run.name
    agent, _, notes = read_agent(folder / "last")
    return {
        "run": dataclasses.asdict(run),
        "timesteps": notes["timesteps"],
        "training": read_json(folder / "training.json"),
        "agent": agent.to_json(),
        "encoder": dataclasses.asdict(load(encoder, "cpu").config),
        "pretraining": {
            **read_json(encoder / "done.json"),
            "config": read_json(encoder / "pretraining.json"),
        },
        "deterministic": _evaluation(folder, deterministic=True),
        "stochastic": _evaluation(folder, deterministic=False),
    }


def _evaluation(folder: Path, deterministic: bool) -> dict[str, float]:
    result = evaluate_agent(
        folder,
        EPISODES,
        deterministic=deterministic,
        checkpoint="last",  # the best one was selected by its return, which would bias the mean
        progress=False,
        device="cpu",
    )
    returns = np.array(result.returns)
    return {
        "success": float((returns > 0).mean()),
        "return": float(returns.mean()),
        "episodes": len(returns),
    }
