"""Timesteps that an agent plays, with what it computes at each, for the explorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.algorithms import find_algorithm
from agents.episode import Player, estimated_value, player
from agents.evaluate import TEST_SEED, policy_of
from agents.play import actor
from agents.venv import gymnasium_of, newest_frames
from latentrl import Frames
from latentrl.data.factors import with_factors
from latentrl.types import Array
from latentrl.viz.explorer import Episode

TIMESTEPS = 1_000
"""Timesteps that are played; the last episode is cut there."""


@dataclass(frozen=True)
class Visits:
    """Frames that an agent visits, and the longest episode of them."""

    frames: Frames
    """Frames of all episodes, with known factors where the environment gives them."""
    episode: Episode
    """The longest episode, with value, bonus, action and reward; the last one may be cut."""


def visit(
    run: Path,
    device: str = "auto",
    *,
    timesteps: int = TIMESTEPS,
    env: str | None = None,
    trust: bool = False,
) -> Visits:
    """Let the best agent of a run play test episodes on Gymnasium.

    Values are the algorithm's, in units of the reward. The novelty bonus is the run's, as its last
    checkpoint left it, and it keeps learning here; an agent of an older encoder has none.

    Args:
        run: folder of a training run.
        device: device of the encoder.
        timesteps: how long to play.
        env: environment to play in; None is the agent's own.
        trust: whether to import the module that the agent's folder names as its environment.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: its files are damaged, or its environment's module is not trusted.
    """
    with player(run, env=env, device=device, trust=trust, seed=TEST_SEED) as agent:
        agent.venv.seed(TEST_SEED)  # building a model seeds its environments with the model's seed
        policy = policy_of(run)
        record = _play(agent, policy == "deterministic", timesteps)
        space, metadata = agent.base.observation_space, gymnasium_of(agent.venv).metadata
    algo, environment = agent.config.algo, agent.config.environment.id
    episode = record.longest(f"{algo} on {environment}, {policy} policy")
    return Visits(record.frames(space, metadata), episode)


@dataclass
class _Record:
    """What happened at each timestep, in order."""

    observations: list[Array] = field(default_factory=list)
    episodes: list[int] = field(default_factory=list)
    factors: list[Any] = field(default_factory=list)
    series: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, observation: Array, factors: Any, episode: int, **series: Any) -> None:
        self.observations.append(observation)
        self.factors.append(factors)
        self.episodes.append(episode)
        for name, value in series.items():
            self.series.setdefault(name, []).append(value)

    def frames(self, space: Any, metadata: Mapping[str, Any]) -> Frames:
        names = metadata.get("factors", ())
        frames = Frames(space, [np.stack(self.observations)], np.array(self.episodes))
        unknown = np.full(len(names), np.nan)
        columns = np.array([unknown if row is None else row for row in self.factors], float).T
        known = {name: c for name, c in zip(names, columns, strict=True) if np.isfinite(c).any()}
        return with_factors(frames, known)

    def longest(self, caption: str) -> Episode:
        rows = np.flatnonzero(np.equal(self.episodes, np.bincount(self.episodes).argmax()))
        series = {name: np.array(values)[rows] for name, values in self.series.items()}
        return Episode(np.stack([self.observations[i] for i in rows]), **series, caption=caption)


def _play(agent: Player, deterministic: bool, steps: int) -> _Record:
    venv, spec = agent.venv, find_algorithm(agent.config.algo)
    record, act, episode = _Record(), actor(agent.model, deterministic), 0
    observations: Any = venv.reset()
    dones = np.ones(1, bool)
    # A bonus belongs to the observation that a step reaches; the first of an episode has none. The
    # factors of those come with a reset, whose infos SB3 does not pass on.
    bonus, factors = np.nan, None
    for _ in range(steps):
        frame = newest_frames(venv)[0].copy()
        actions = act(observations, dones)
        computed = {}
        if (value := estimated_value(venv, agent.model, spec, observations)) is not None:
            computed["value"] = value
        observations, rewards, dones, infos = venv.step(actions)
        info, ended = infos[0], bool(dones[0])
        if "intrinsic_reward" in info:
            computed["bonus"] = bonus
        reward = info.get("extrinsic_reward", float(rewards[0]))
        record.add(frame, factors, episode, action=actions[0], reward=reward, **computed)
        bonus = np.nan if ended else info.get("intrinsic_reward", np.nan)
        factors = None if ended else info.get("factors")
        episode += ended
    return record
