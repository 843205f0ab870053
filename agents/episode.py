"""One episode of an agent, timestep by timestep, with the value and the novelty of what it does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from agents.algorithms import AlgorithmSpec
from agents.bonuses import make_novelty
from agents.checkpoint import WEIGHTS, read_agent
from agents.config import AgentConfig
from agents.evaluate import (
    Checkpoint,
    agent_folder,
    config_in,
    load_encoder,
    load_for_evaluation,
)
from agents.parts import read_part
from agents.play import actor
from agents.train_config import FLAGS_FILE, TrainConfig
from agents.venv import build_monitored, build_venv
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import NormalizedBonus
from latentrl.types import Encoder
from latentrl.utils.decoding import decode
from latentrl.utils.io import read_json


@dataclass(frozen=True)
class Player:
    """An agent that is ready to play in one environment on Gymnasium."""

    config: AgentConfig
    """The agent, in the environment in which it plays."""
    encoder: Autoencoder | None
    """Its encoder; None where it learns from pixels."""
    model: BaseAlgorithm
    """The algorithm with its weights."""
    base: VecEnv
    """The bare environment."""
    venv: VecNormalize
    """The environment as the agent observes it."""
    has_bonus: bool
    """Whether ``venv`` adds the novelty bonus of the run to the rewards."""


@contextmanager
def player(
    run: Path,
    checkpoint: Checkpoint = "best",
    env: str | None = None,
    *,
    device: str,
    max_episode_steps: int | None = None,
    trust: bool,
    **building: Any,
) -> Iterator[Player]:
    """Load an agent and make its environment, which is closed at the end.

    Arguments are those of ``evaluate_agent``; ``building`` are those of ``build_monitored``.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: its files are damaged, the environment has other spaces, or its module is
            neither trusted nor named by ``env``.
    """
    folder = agent_folder(run, checkpoint)
    config, _ = config_in(folder, env, max_episode_steps=max_episode_steps, trust=trust)
    encoder = load_encoder(run, config, device)
    base = build_monitored(config.environment, n_envs=1, backend="gymnasium", **building)
    try:
        novelty = saved_novelty(run, config, encoder, base.action_space)
        venv = build_venv(config, encoder, base, training=False, novelty=novelty)
        model = load_for_evaluation(config, venv, folder)
        yield Player(config, encoder, model, base, venv, has_bonus=novelty is not None)
    finally:
        base.close()


@dataclass(frozen=True)
class Moment:
    """Numbers of an episode at one timestep."""

    timestep: int = 0
    """Timesteps so far."""
    total: float = 0.0
    """Extrinsic return so far."""
    value: float | None = None
    """Estimate of the discounted return that is left, in units of the rewards, with the bonus and
    the shaping of training; NaN at the end, and None where the algorithm estimates none."""
    bonus: float | None = None
    """Intrinsic reward for reaching this observation; None without a bonus."""
    ended: bool = False
    """Whether nothing follows: the environment shows its next episode already, if it ended."""


def episode(
    venv: VecNormalize,
    model: BaseAlgorithm,
    spec: AlgorithmSpec,
    *,
    deterministic: bool,
    has_bonus: bool,
    limit: int,
) -> Iterator[Moment]:
    """Play one episode; yield a moment before each timestep, and one at the end.

    Args:
        venv: one environment, as ``build_venv`` makes it for evaluation.
        model: the agent.
        spec: its algorithm.
        deterministic: take the mode of the policy rather than a sample.
        has_bonus: whether ``venv`` adds a novelty bonus to the rewards.
        limit: timesteps after which the episode is left as it is, with a warning.
    """
    act = actor(model, deterministic)
    observations: Any = venv.reset()
    dones = np.ones(1, bool)
    timestep, total, bonus, ended = 0, 0.0, 0.0 if has_bonus else None, False
    while not ended and timestep < limit:
        yield Moment(timestep, total, estimated_value(venv, model, spec, observations), bonus)
        observations, rewards, dones, infos = venv.step(act(observations, dones))
        # With a bonus the reward is the sum of both.
        total += infos[0].get("extrinsic_reward", float(rewards[0]))
        bonus = infos[0].get("intrinsic_reward")
        timestep, ended = timestep + 1, bool(dones[0])
    yield Moment(timestep, total, None if spec.value is None else np.nan, bonus, ended=True)
    if not ended:
        warnings.warn(
            f"the episode has not ended in {limit:,} timesteps: the video has the first ones",
            UserWarning,
            stacklevel=3,
        )


def estimated_value(
    venv: VecNormalize, model: BaseAlgorithm, spec: AlgorithmSpec, observations: Any
) -> float | None:
    """Return the discounted return that the agent expects from the first of ``observations``.

    It is in units of the rewards and includes the bonus and the shaping of training; None where the
    algorithm estimates none.
    """
    if spec.value is None:
        return None
    # The agent has learned from rewards in units of the standard deviation of their returns.
    unit = np.sqrt(venv.ret_rms.var + venv.epsilon)
    return float(spec.value(model, observations)[0] * unit)


def saved_novelty(
    run: Path, config: AgentConfig, encoder: Encoder | None, action_space: spaces.Space[Any]
) -> NormalizedBonus | None:
    """Return the bonus of a run as its last checkpoint has it, to be given to ``build_venv``.

    Args:
        run: folder of a training run.
        config: the agent that plays.
        encoder: its encoder.
        action_space: of the environment.

    Returns:
        The bonus; None for a run without one, and where the last checkpoint has another encoder
        than the agent that plays, because the bonus is about its latents.

    Raises:
        ValueError: a file is damaged.
    """
    last = run / "last"
    if encoder is None or not (run / FLAGS_FILE).is_file() or not (last / WEIGHTS).is_file():
        return None
    flags: TrainConfig = decode(TrainConfig, read_json(run / FLAGS_FILE), f"the flags of {run}")
    newest, _, notes = read_agent(last)
    if flags.bonus is None or newest.encoder != config.encoder:
        return None
    gamma = config.hyperparameters["gamma"]
    words = flags.bonus, flags.novelty_weight
    novelty = make_novelty(*words, encoder, action_space, gamma, flags.seed)
    novelty.load_state_dict(read_part(last, notes, "novelty")[0])
    return novelty
