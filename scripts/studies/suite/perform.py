"""One run of the suite: pretrain, train to the end of the clock, evaluate, keep the result."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.bonuses import DEFAULT_NOVELTY
from agents.evaluate import TEST_SEED, evaluate_agent, make_test_envs
from agents.play import Evaluation, play
from agents.pretrain import MOST, PretrainConfig, pretrain
from agents.pretrain_choice import WARM_FRAMES
from agents.pretrain_config import completed
from agents.train import Trained, train
from agents.train_config import FLAGS_FILE, TrainConfig
from envs import Environment, defaults_for, make_vector
from envs.make import backend_of
from latentrl import load
from latentrl.cli.plugins import import_plugins
from latentrl.types import Array
from latentrl.utils.io import read_json, write_json
from scripts.studies.agent_runs import logged, save_untrained, write_curve
from scripts.studies.core import machine
from scripts.studies.suite.clock import core_seconds
from scripts.studies.suite.tasks import (
    GENERAL,
    LATENTS,
    OPTIONS,
    PIXELS,
    RANDOM_ACTIONS,
    RANDOM_ENCODER,
    Run,
    flags_of,
    needs_latents,
)

EPISODES = 20
"""Held-out episodes of an evaluation."""
LONGEST = 1_000
"""Most timesteps of an evaluated episode: one of an agent that is stuck can take half an hour."""
TIMESTEPS = 10_000_000
"""More timesteps than fit into the clock."""
COLLECTING, TRIAL = 0.1, 2.0
"""Largest fraction of the clock for collecting frames, and seconds that measure their rate."""


def perform(run: Run, minutes: float, plugins: Sequence[str] = ()) -> None:
    """Perform a run within ``minutes`` of its core, from its beginning, and write its result."""
    torch.set_num_threads(1)
    import_plugins(plugins)
    for name in ("result", "folder"):
        getattr(run, name).parent.mkdir(parents=True, exist_ok=True)
    # Frames that an earlier run has collected would cost this one nothing.
    shutil.rmtree(run.folder, ignore_errors=True)
    run.folder.mkdir()
    with logged(run.folder):
        record = _random_actions(run) if run.arm == RANDOM_ACTIONS else _agent(run, minutes)
    # The JSON file comes last: its existence marks a finished run.
    name = {"env": run.env, "arm": run.arm, "seed": run.seed}
    what = {"run": name, "minutes": minutes, "machine": machine()}
    write_json(run.result, {**what, **record})


def _agent(run: Run, minutes: float) -> dict[str, Any]:
    pretraining: dict[str, Any] = {"seconds": 0.0, "frames": 0}
    encoder = None if run.arm == PIXELS else run.folder / "encoder"
    if run.arm in OPTIONS:
        pretraining = _pretrain(run, run.folder / "encoder", minutes)
    elif needs_latents(run.arm):
        encoder = _encoder_of_latents(run)
        if run.arm in (RANDOM_ENCODER, GENERAL):
            out = run.folder / "encoder"
            encoder = save_untrained(encoder, out, run.seed, general=run.arm == GENERAL)
        else:
            pretraining = read_json(dataclasses.replace(run, arm=LATENTS).result)["pretraining"]
    left = max(minutes - pretraining["seconds"] / 60, 1 / 60)
    trained = train(_train_config(run, encoder, left), core_seconds)
    write_curve(trained, pretraining, run.result.with_suffix(".csv"))
    return {
        "pretraining": pretraining,
        "timesteps": trained.timesteps,
        "training_minutes": left,
        "novelty": _kept_bonus(trained),
        "deterministic": _evaluation(trained, deterministic=True),
        "stochastic": _evaluation(trained, deterministic=False),
    }


def _kept_bonus(trained: Trained) -> bool:
    """Return whether the training kept its novelty bonus, because rewards are sparse."""
    return bool(read_json(trained.path / FLAGS_FILE)["novelty"] == DEFAULT_NOVELTY)


def _pretrain(run: Run, out: Path, minutes: float) -> dict[str, Any]:
    start = core_seconds()
    config = completed(
        PretrainConfig(run.env, untuned=True, seed=run.seed, out=out, option=OPTIONS[run.arm]), None
    )
    # A slow simulator would take the whole clock for the frames of the default.
    most = int(60 * minutes * COLLECTING * _steps_per_second(run.env)) // MOST
    config = dataclasses.replace(config, frames=min(config.frames or WARM_FRAMES, max(most, 64)))
    result = pretrain(config)
    return {
        "seconds": core_seconds() - start,
        "frames": len(result.frames),
        "model": dataclasses.asdict(result.model.config),
        "quality": load(out, "cpu").metadata.get("quality"),
    }


def _steps_per_second(env_id: str) -> float:
    environment = Environment(env_id, frame_skip=defaults_for(env_id).frame_skip)
    envs = make_vector(environment, 2)
    envs.reset(seed=0)
    steps, start = 0, core_seconds()
    while core_seconds() - start < TRIAL:
        envs.step(envs.action_space.sample())
        steps += envs.num_envs
    envs.close()
    return steps / TRIAL


def _encoder_of_latents(run: Run) -> Path:
    """Return the folder of the encoder of the same seed.

    Raises:
        FileNotFoundError: its run has not been performed here.
    """
    source = dataclasses.replace(run, arm=LATENTS).folder / "encoder"
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is missing: run the arm {LATENTS} of seed {run.seed}")
    return source


def _train_config(run: Run, encoder: Path | None, minutes: float) -> TrainConfig:
    defaults = defaults_for(run.env)
    config = TrainConfig(
        run.env,
        latent=encoder is not None,
        untuned=True,
        vae=encoder,
        timesteps=TIMESTEPS,
        minutes=minutes,
        # Those of latents, for pixels too.
        frame_skip=defaults.frame_skip,
        stack=defaults.stack,
        # The clock is for training alone: validations take longer where episodes are long.
        eval_every=TIMESTEPS,
        eval_episodes=1,
        save_minutes=TIMESTEPS,
        out=run.folder / "agent",
        seed=run.seed,
        device="cpu",
    )
    return dataclasses.replace(config, **flags_of(run.arm))


def _evaluation(trained: Trained, deterministic: bool) -> dict[str, Any]:
    backend = backend_of(trained.config.environment)
    return _summary(
        evaluate_agent(
            trained.path,
            EPISODES,
            backend=backend,
            deterministic=deterministic,
            checkpoint="last",
            max_episode_steps=LONGEST,
            progress=False,
            device="cpu",
        )
    )


def _random_actions(run: Run) -> dict[str, Any]:
    skip = defaults_for(run.env).frame_skip
    environment = Environment(run.env, frame_skip=skip, max_episode_steps=LONGEST)
    venv = make_test_envs(environment, EPISODES, backend_of(environment), TEST_SEED)
    venv.action_space.seed(run.seed)

    def act(*_: Any) -> Array:
        return np.stack([venv.action_space.sample() for _ in range(venv.num_envs)])

    try:
        return {"stochastic": _summary(play(venv, act, EPISODES))}
    finally:
        venv.close()


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    return {"mean": evaluation.mean, "returns": evaluation.returns}
