"""One run on CarRacing: pretrain, train, evaluate on held-out tracks, keep the result."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import torch

from agents.evaluate import evaluate_agent
from agents.pretrain import PretrainConfig, pretrain
from agents.train import Trained, train
from agents.train_config import FLAGS_FILE, TrainConfig
from latentrl import load
from latentrl.utils.io import read_json, write_json
from scripts.studies.agent_runs import logged, save_untrained, write_curve
from scripts.studies.carracing import transfer
from scripts.studies.carracing.arms import ARMS, ENV, MINUTES, TRAINING, Arm, Run
from scripts.studies.core import machine
from scripts.studies.suite.clock import core_seconds

TRACKS = 100
"""Held-out tracks of an evaluation."""
MORE_THAN_FIT = 10_000_000
"""Timesteps of a training that the clock ends."""
LONGEST = 10_000.0
"""Minutes of a training that its timesteps end; with a limit the clock is logged."""
PRETRAINED = "pretraining.json"
"""File in the folder of a run with the cost and the quality of its encoder."""


def is_missing(run: Run) -> bool:
    """Whether a run, or its evaluation in other colours, has no result yet."""
    return not run.result.exists() or transfer.is_missing(run)


def perform(run: Run) -> None:
    """Perform what is missing of a run on its core, and write its result."""
    torch.set_num_threads(1)
    if not run.result.exists():
        _train_and_evaluate(run)
    if transfer.is_missing(run):
        transfer.transfer(run)


def _train_and_evaluate(run: Run) -> None:
    """Pretrain, train and evaluate, resuming a recipe where it stopped."""
    run.result.parent.mkdir(parents=True, exist_ok=True)
    run.folder.mkdir(parents=True, exist_ok=True)
    arm = ARMS[run.arm]
    if arm.timesteps is None:
        shutil.rmtree(run.folder / "agent", ignore_errors=True)  # its clock would start anew
    with logged(run.folder):
        encoder, pretraining = _encoder(run, arm)
        trained = train(_train_config(run, arm, encoder, pretraining["seconds"]), core_seconds)
        record = {
            "run": dataclasses.asdict(run),
            "machine": machine(),
            "pretraining": pretraining,
            "timesteps": trained.timesteps,
            "evaluation": _evaluation(trained, arm),
        }
        write_curve(trained, pretraining, run.result.with_suffix(".csv"))
        # The JSON file comes last: its existence marks a finished run.
        write_json(run.result, record)


def _encoder(run: Run, arm: Arm) -> tuple[Path | None, dict[str, Any]]:
    """Pretrain the encoder, unless it is there, and return its folder, its cost and quality."""
    if arm.pretraining is None:
        return None, {"seconds": 0.0, "frames": 0}
    out, file = run.folder / "encoder", run.folder / PRETRAINED
    if not file.exists():
        start = core_seconds()
        started = (out / PRETRAINED).exists()
        flags = {"seed": run.seed, "out": out, "resume": started, **arm.pretraining}
        result = pretrain(PretrainConfig(**{"env": ENV, **flags}))
        cost = {"seconds": core_seconds() - start, "frames": len(result.frames)}
        quality = load(out, "cpu").metadata.get("quality")
        write_json(file, {**cost, "quality": quality})
    if not arm.random:
        return out, read_json(file)
    random = save_untrained(out, run.folder / "random", run.seed)
    return random, {"seconds": 0.0, "frames": 0}


def _train_config(run: Run, arm: Arm, encoder: Path | None, spent: float) -> TrainConfig:
    out = run.folder / "agent"
    config = TrainConfig(
        ENV,
        latent=encoder is not None,
        vae=encoder,
        out=out,
        seed=run.seed,
        novelty=None,  # the rewards are not sparse
        device="cpu",
        timesteps=arm.timesteps or MORE_THAN_FIT,
        resume=arm.timesteps is not None and (out / FLAGS_FILE).exists(),
        **{**TRAINING, **arm.training},
    )
    if arm.timesteps is not None:
        return dataclasses.replace(config, minutes=LONGEST)
    # Validations would take from the clock what they do not take from the recipe's timesteps.
    return dataclasses.replace(config, minutes=MINUTES - spent / 60, eval_every=MORE_THAN_FIT)


def _evaluation(trained: Trained, arm: Arm) -> dict[str, Any]:
    """Evaluate both policies, those of a recipe on Gymnasium's own frames."""
    own = arm.timesteps is not None
    backend = "gymnasium" if own else "drawn"
    deterministic, stochastic = (
        evaluate_agent(
            trained.path,
            TRACKS,
            backend=backend,
            deterministic=deterministic,
            checkpoint="best" if own else "last",
            progress=False,
            device="cpu",
        )
        for deterministic in (True, False)
    )
    return {
        "backend": backend,
        "returns": deterministic.returns,
        "stochastic": stochastic.returns,
    }
