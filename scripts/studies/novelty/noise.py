"""Agents with noise in all frames: how much of their return a bonus loses to it."""

from __future__ import annotations

import functools
import shutil
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from agents.bonuses import make_novelty
from agents.checkpoint import build
from agents.train import TrainConfig, describe_agent
from agents.venv import build_monitored, build_venv
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import BONUSES
from latentrl.types import Array
from latentrl.utils.io import read_json, write_json
from scripts.studies.core import FOLDER, Study, Table
from scripts.studies.novelty.diagnostics_data import (
    DOOR_KEY,
    NOISE,
    Extent,
    Goal,
    encoder,
    with_noise,
)

LOST = Goal("return lost", 0.05)


class NoisyFrames(VecEnvWrapper):
    """Adds noise to every frame, terminal observations included."""

    def __init__(self, venv: VecEnv, std: float, seed: int) -> None:
        """Add noise of ``std`` grey levels to the frames of ``venv``."""
        super().__init__(venv)
        self.std, self.rng = std, np.random.default_rng(seed)

    def reset(self) -> Array:
        """Reset, with noise on the first frames."""
        return with_noise(np.asarray(self.venv.reset()), self.std, self.rng)

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, object]]]:
        """Finish the step, with noise on the frames."""
        frames, rewards, dones, infos = self.venv.step_wait()
        for i in np.flatnonzero(dones):
            terminal = infos[i]["terminal_observation"]
            infos[i]["terminal_observation"] = with_noise(terminal, self.std, self.rng)
        return with_noise(np.asarray(frames), self.std, self.rng), rewards, dones, infos


def trained_return(
    bonus: str, encoder: Autoencoder, noise: float, timesteps: int, seed: int
) -> float:
    """Train PPO on DoorKey, and return the mean extrinsic return of the last 100 episodes.

    Args:
        bonus: name of the novelty bonus.
        encoder: pretrained with the same noise.
        noise: standard deviation of the noise in frames, in grey levels.
        timesteps: of the training.
        seed: of the agent.
    """
    agent = describe_agent(TrainConfig(DOOR_KEY, timesteps=timesteps), encoder)
    hyperparameters = agent.hyperparameters
    venv: VecEnv = build_monitored(agent.environment, n_envs=hyperparameters["n_envs"], seed=seed)
    venv = NoisyFrames(venv, noise, seed) if noise else venv
    novelty = make_novelty(bonus, None, encoder, venv.action_space, hyperparameters["gamma"], seed)
    host = build_venv(agent, encoder, venv, novelty=novelty)
    try:
        episodes = build(agent, host, seed, "cpu").learn(timesteps).ep_info_buffer
    finally:
        host.close()
    return statistics.mean(float(episode["r"]) for episode in episodes or ())


def novelty_noise() -> Study:
    """PPO with bonuses on MiniGrid-DoorKey-5x5-v0, without noise and with a tenth of it."""
    return returns_lost(Extent(), list(BONUSES))


def measured_again(known: Study, bonuses: Sequence[str]) -> Study:
    """Return ``known`` with new results of some bonuses, in the order of all of them.

    Raises:
        ValueError: a bonus is unknown, or the results that are known are of other trainings.
    """
    for bonus in bonuses:
        BONUSES[bonus]
    found = returns_lost(Extent(), bonuses)
    (old,), (new,) = known.tables, found.tables
    if old.caption != new.caption:
        raise ValueError(f"results of other trainings: {old.caption!r}, and now {new.caption!r}")
    columns = {**_columns(old), **_columns(new)}
    names = [name for name in ("", *BONUSES) if name in columns]
    rows = [list(row) for row in zip(*(columns[name] for name in names), strict=True)]
    return Study([], [Table(new.caption, names, rows)])


def _columns(table: Table) -> dict[str, list[str]]:
    return {name: [row[i] for row in table.rows] for i, name in enumerate(table.columns)}


def returns_lost(extent: Extent, bonuses: Sequence[str]) -> Study:
    """Return the table of what agents lose to noise; an interrupted call can be repeated."""
    levels = (0.0, NOISE)
    encoders = {noise: encoder(DOOR_KEY, extent.frames, extent.steps, noise) for noise in levels}
    trainings = {
        (name, noise, seed): functools.partial(
            trained_return, name, model, noise, extent.timesteps, seed
        )
        for name in bonuses
        for noise, model in encoders.items()
        for seed in range(extent.agents)
    }
    folder = FOLDER / "novelty_noise" / f"unfinished-{extent.timesteps}"
    done = {key: _cached(folder / "-".join(map(str, key)), run) for key, run in trainings.items()}
    shutil.rmtree(folder)
    returns = {
        noise: [[done[name, noise, i] for i in range(extent.agents)] for name in bonuses]
        for noise in levels
    }
    means = ([statistics.mean(each) for each in returns[noise]] for noise in levels)
    lost = [without - noisy for without, noisy in zip(*means, strict=True)]
    rows = [
        ["return without noise", *map(_mean_and_range, returns[0.0])],
        ["return with noise", *map(_mean_and_range, returns[NOISE])],
        [str(LOST), *map(LOST.cell, lost)],
    ]
    episodes = f"Mean of the last 100 training episodes of {extent.timesteps:,} timesteps"
    caption = f"{episodes}, over {extent.agents} agents (minimum to maximum)"
    return Study([], [Table(caption, ["", *bonuses], rows)])


def _cached(file: Path, train: Callable[[], float]) -> float:
    if not file.exists():
        write_json(file, {"return": train()})
    return float(read_json(file)["return"])


def _mean_and_range(returns: Sequence[float]) -> str:
    return f"{statistics.mean(returns):.3f} ({min(returns):.3f} to {max(returns):.3f})"
