"""Jobs that can be stopped at any moment: how they run, how far they are, how they resume."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

import latentrl as lrl
from agents.checkpoint import WEIGHTS, read_agent
from agents.evaluate import evaluate_agent
from agents.pretrain_config import FLAGS_FILE as PRETRAINING
from agents.train import FLAGS_FILE as TRAINING
from latentrl.data.store import FrameWriter, has_store
from latentrl.training.resume import RESUME_FILE, has_progress
from latentrl.training.trainer import Trainer
from latentrl.utils.io import read_tensors
from scripts.studies.reliability.command_line import as_command, call
from scripts.studies.reliability.files import digest
from scripts.studies.reliability.problems import (
    PRETRAIN_FRAMES,
    Counting,
    check_counting,
    fit_config,
    noise_images,
    pretrain_flags,
    save_reach_encoder,
    small_model,
    train_flags,
)

STORE, MODEL, RUN = Path("store"), Path("model"), Path("run")
COLLECTED, STEPS, TIMESTEPS = 3_000, 30, 640
COUNTER = multiprocessing.RawValue("q", 0)
"""Progress of the job that runs, in memory that its process shares with the study's."""


@dataclass(frozen=True)
class Job:
    """One kind of job, in the current folder."""

    name: str
    """Name in the table."""
    total: int
    """Progress at the end."""
    run: Callable[[], object]
    """Starts the job or resumes it, as a user would do."""
    saved: Callable[[], int]
    """Loads everything on disk, and returns the progress that is saved."""
    result: Callable[[], str]
    """Uses the finished result; equal results return equal text."""
    prepare: Callable[[], object] = lambda: None
    """Writes what the job needs."""


def count_progress() -> None:
    """Count the finished units of work of this process in ``COUNTER``."""
    COUNTER.value = 0
    _after(FrameWriter, "append", lambda _, observations, *__, **___: len(observations))
    _after(Trainer, "_step", lambda *_: 1)
    on_step = BaseCallback.on_step

    def counted(callback: BaseCallback) -> bool:
        COUNTER.value = callback.model.num_timesteps
        return on_step(callback)

    BaseCallback.on_step = counted  # type: ignore[method-assign]


def _after(owner: type, name: str, amount: Callable[..., int]) -> None:
    method = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        result = method(*arguments, **options)
        COUNTER.value += amount(*arguments, **options)
        return result

    setattr(owner, name, counted)


def _collect(n_envs: int) -> None:
    as_command(lambda: lrl.collect(Counting, COLLECTED, STORE, n_envs=n_envs, progress=False))


def _collected() -> int:
    if not has_store(STORE):
        return 0
    frames = lrl.Frames.open(STORE)
    check_counting(frames)
    return len(frames)


def _fit() -> None:
    config = fit_config(steps=STEPS)
    options = {"path": MODEL, "resume": has_progress(MODEL), "progress": False}
    as_command(lambda: lrl.fit(small_model(), noise_images(), config, **options))


def _fitted(folder: Path) -> int:
    if (folder / "model.safetensors").exists():
        lrl.load(folder, "cpu")
    if not has_progress(folder):
        return 0
    return int(read_tensors(folder / RESUME_FILE, "progress")[1]["step"])


def _encoded(folder: Path) -> str:
    model = lrl.load(folder, "cpu")
    shape = model.observation_space.shape
    latents = model.encode(np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8))
    if not np.isfinite(latents).all():
        raise ValueError("latents are not finite")
    return digest(latents)


def _pretrain() -> None:
    resume = ["--resume"] if (RUN / PRETRAINING).exists() else []
    call("pretrain_vae", *pretrain_flags(steps=STEPS, out=RUN), *resume)


def _pretrained() -> int:
    # The counter adds frames and gradient steps up.
    stores = [manifest.parent for manifest in Path("runs").rglob("manifest.json")]
    return sum(len(lrl.Frames.open(store)) for store in stores) + _fitted(RUN)


def _trained(algorithm: str) -> Callable[[], None]:
    def run() -> None:
        resume = ["--resume"] if (RUN / TRAINING).exists() else []
        call("train_agent", *train_flags(algorithm, timesteps=TIMESTEPS, out=RUN), *resume)

    return run


def _timesteps() -> int:
    if not (RUN / TRAINING).exists():
        return 0
    for checkpoint in ("best", "last"):
        if (RUN / checkpoint / WEIGHTS).exists():
            read_agent(RUN / checkpoint)
    lrl.load(RUN / "encoder", "cpu")
    return int(read_agent(RUN / "last")[2]["timesteps"])


def _evaluated() -> str:
    for checkpoint in ("best", "last"):
        evaluate_agent(RUN, 1, checkpoint=checkpoint, progress=False)  # type: ignore[arg-type]
    return ""


def _first_frames() -> str:
    frames = lrl.Frames.open(STORE)
    check_counting(frames)
    if len(frames) < COLLECTED:
        raise ValueError(f"{len(frames)} frames of {COLLECTED}")
    return ""


JOBS = (
    *(
        Job(name, COLLECTED, functools.partial(_collect, n_envs), _collected, _first_frames)
        for name, n_envs in (("collect", 1), ("collect, 2 workers", 2))
    ),
    Job("fit", STEPS, _fit, lambda: _fitted(MODEL), lambda: _encoded(MODEL)),
    Job(
        "pretrain_vae.py",
        PRETRAIN_FRAMES + STEPS,
        _pretrain,
        _pretrained,
        lambda: _encoded(RUN)[:0],  # frames of a resumed collection have another seed
    ),
    *(
        Job(
            f"train_agent.py, {algorithm}",
            TIMESTEPS,
            _trained(algorithm),
            _timesteps,
            _evaluated,
            save_reach_encoder,
        )
        for algorithm in ("ppo", "dqn")
    ),
)
