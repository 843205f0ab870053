"""Evaluation by extrinsic returns, on test episodes that neither training nor validation uses."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from agents.algorithms import find_algorithm
from agents.checkpoint import WEIGHTS, build_saved, read_agent, restore
from agents.config import AgentConfig, check_trusted
from agents.familiar_frames import FrameSample, warn_if_unfamiliar
from agents.play import EPISODE_LIMIT, Act, Evaluation, Policy, actor, play
from agents.validation import best_result
from agents.venv import build_monitored, build_venv
from envs import Environment, defaults_for
from latentrl import load
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.utils.io import write_json
from latentrl.utils.progress import progress_bar

TEST_SEED = 1_000_000
"""First seed of the test episodes; the seeds of training and validation are lower."""
ENVS_IN_PROCESS = 16
"""Environments that step together where a step is cheaper than a worker process."""
STATISTICS = ("mean", "std", "minimum", "p10", "median")
"""Statistics of the returns in a report."""

Checkpoint = Literal["best", "last"]


def agent_folder(run: Path, checkpoint: Checkpoint = "best") -> Path:
    """Folder of a run's agent; "best" is the last agent where no validation has taken place."""
    for folder in (run / checkpoint, run / "last"):
        if (folder / WEIGHTS).is_file():
            return folder
    raise FileNotFoundError(
        f"no agent at {run}: expected {run / checkpoint / WEIGHTS}; give the folder of a run, such "
        "as runs/agents/ENV/ppo-latent-1"
    )


def load_encoder(run: Path, config: AgentConfig, device: str = "auto") -> Autoencoder | None:
    """Load the encoder beside a run's agents; None for an agent that learns from pixels."""
    return load(run / config.encoder, device) if config.latent else None


def evaluate_agent(
    run: Path,
    episodes: int = 10,
    *,
    backend: str = "gymnasium",
    seed: int = TEST_SEED,
    deterministic: bool | None = None,
    checkpoint: Checkpoint = "best",
    env: str | None = None,
    max_episode_steps: int | None = None,
    random: bool = False,
    trust: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Evaluation:
    """Evaluate a saved agent, and write the results to a file in the run's folder, ``report``.

    Where they cannot be written, as on a full disk, they are returned all the same, without it.

    Args:
        run: folder of a training run.
        episodes: number of episodes; episode i has the seed ``seed + i`` on Gymnasium.
        backend: "gymnasium", "drawn" or "envpool".
        seed: seed of the first episode.
        deterministic: take the mode of the policy rather than a sample; None is the better one in
            the run's best validation. An epsilon-greedy policy is greedy if deterministic, and
            otherwise has the final epsilon of its training.
        checkpoint: the agent of the best validation, or the last one.
        env: another environment with the same spaces; None is the one of training.
        max_episode_steps: timesteps after which an episode is truncated; None is as in training.
        random: evaluate uniform random actions on the agent's episodes in place of the agent.
        trust: whether to import the module that the agent's folder names as its environment.
        device: device of the encoder.
        progress: whether to show a progress bar.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: ``episodes`` is less than 1, the environment has other spaces, or its module is
            neither trusted nor named by ``env``.

    Warns:
        UserWarning: the encoder loses much of these frames, and little of those of its pretraining,
            or the results cannot be written.
    """
    folder = agent_folder(run, checkpoint)
    config, timesteps = config_in(folder, env, max_episode_steps=max_episode_steps, trust=trust)
    environment = config.environment
    if random:
        result = evaluate_random(environment, episodes, seed, progress, backend)
    else:
        policy = policy_of(run, deterministic)
        test_envs = make_test_envs(environment, episodes, backend, seed)
        encoder = load_encoder(run, config, device)
        venv = build_venv(config, encoder, test_envs, training=False)
        model = load_for_evaluation(config, venv, folder)
        venv.seed(seed)  # building a model seeds its environments with the model's seed
        act = FrameSample(actor(model, policy == "deterministic"), venv)
        result = _play(venv, act, episodes, policy, environment, progress)
        if encoder is not None:
            warn_if_unfamiliar(encoder, act.frames, environment.id)
    report = {
        **{name: getattr(result, name) for name in STATISTICS},
        **{name: value for name, value in asdict(result).items() if name != "report"},
        "env": environment.id,
        "backend": backend,
        "seed": seed,
        "max_episode_steps": max_episode_steps,
        "checkpoint": checkpoint,
        "timesteps": timesteps,
    }
    file = _report_file(
        run, backend, episodes, result.policy, checkpoint, env, seed, max_episode_steps
    )
    return replace(result, report=_written(file, report))


def _written(file: Path, report: Mapping[str, Any]) -> Path | None:
    try:
        write_json(file, report)
    except OSError as error:  # the episodes took long, and the caller still gets their returns
        warnings.warn(
            f"this evaluation has no report: {error.strerror or error}", UserWarning, stacklevel=3
        )
        return None
    return file


def policy_of(run: Path, deterministic: bool | None = None) -> Policy:
    """Return the policy to evaluate: the better one in the best validation, if None is given.

    A run without a validation, or whose validations had one policy alone, has a deterministic one.
    """
    if deterministic is None:
        best = best_result(run)
        return "deterministic" if best is None else best.policy
    return "deterministic" if deterministic else "stochastic"


def _play(
    venv: VecEnv,
    act: Act,
    episodes: int,
    policy: Policy,
    environment: Environment,
    progress: bool,
) -> Evaluation:
    """Play all episodes, with a progress bar, and close the environments."""
    limit = max(EPISODE_LIMIT, environment.max_episode_steps or 0)
    try:
        with progress_bar(episodes, 0, f"{policy} policy", "episode", progress) as bar:
            return play(venv, act, episodes, policy, bar=bar, limit=limit)
    finally:
        venv.close()


def config_in(
    folder: Path,
    env: str | None,
    *,
    max_episode_steps: int | None = None,
    trust: bool = False,
) -> tuple[AgentConfig, int]:
    """Config of a saved agent, in another environment if ``env`` names one, and its timesteps.

    Raises:
        ValueError: as in ``evaluate_agent``, whose arguments these are.
    """
    config, _, notes = read_agent(folder)
    check_trusted(config, folder, trust or env is not None)
    environment = replace(
        config.environment,
        id=env or config.environment.id,
        max_episode_steps=max_episode_steps or config.environment.max_episode_steps,
    )
    return replace(config, environment=environment), int(notes["timesteps"])


def _report_file(
    run: Path,
    backend: str,
    episodes: int,
    policy: Policy = "deterministic",
    checkpoint: Checkpoint = "best",
    env: str | None = None,
    seed: int = TEST_SEED,
    max_episode_steps: int | None = None,
) -> Path:
    """Path of the report of an evaluation; arguments as in ``evaluate_agent``.

    What is as by default is not in its name, and evaluations that differ have files of their own.
    """
    words = [
        "" if policy == "deterministic" else policy,
        "" if checkpoint == "best" else checkpoint,
        env or "",
        "" if seed == TEST_SEED else f"seed{seed}",
        "" if max_episode_steps is None else f"steps{max_episode_steps}",
    ]
    name = "-".join(["evaluation", backend, str(episodes), *filter(None, words)])
    return run / f"{name.replace('/', '_').replace(':', '.')}.json"


def evaluate_random(
    environment: Environment,
    episodes: int,
    seed: int = TEST_SEED,
    progress: bool = True,
    backend: str = "gymnasium",
) -> Evaluation:
    """Evaluate uniform random actions on the episodes of ``evaluate_agent``."""
    venv = make_test_envs(environment, episodes, backend, seed)
    spaces = [copy.deepcopy(venv.action_space) for _ in range(venv.num_envs)]
    for i, space in enumerate(spaces):
        space.seed(seed + i)

    def act(*_: Any) -> Array:
        return np.stack([space.sample() for space in spaces])

    return _play(venv, act, episodes, "random", environment, progress)


def make_test_envs(environment: Environment, episodes: int, backend: str, seed: int) -> VecEnv:
    """Make as many environments as ``episodes`` can use, with episode seeds from ``seed``.

    Raises:
        ValueError: ``episodes`` is less than 1.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    seeded_by_vector = backend == "envpool"
    in_process = seeded_by_vector or not defaults_for(environment.id).workers
    n_envs = min(episodes, ENVS_IN_PROCESS if in_process else os.cpu_count() or 1)
    seeds = [range(seed + i, seed + episodes, n_envs) for i in range(n_envs)]
    return build_monitored(
        environment,
        n_envs=n_envs,
        seed=seed,
        backend=backend,
        episode_seeds=[] if seeded_by_vector else seeds,
    )


def load_for_evaluation(config: AgentConfig, venv: VecNormalize, folder: Path) -> BaseAlgorithm:
    """Load an agent with its exploration as at the end of training."""
    with warnings.catch_warnings():
        # SB3 warns of a rollout that the batch size does not divide; no rollout is collected here.
        warnings.filterwarnings("ignore", "You have specified a mini-batch size")
        model = build_saved(folder, config, venv)
    restore(folder, model, venv, replay=False)  # the buffer is of another number of environments
    find_algorithm(config.algo).prepare_evaluation(model)
    return model
