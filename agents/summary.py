"""What a training run prints: a table of what it is going to do, and a summary at its end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stable_baselines3.common.vec_env import VecEnv

from agents.config import AgentConfig
from agents.describe import describe_hyperparameters
from agents.play import Evaluation
from agents.runs import python_script, tensorboard_command
from agents.self_imitation import keeps_episodes
from agents.train_config import TrainConfig
from agents.venv import gymnasium_of
from envs import family_of
from envs.make import backend_of
from latentrl.cli.plugins import shell_line
from latentrl.models.autoencoder import Autoencoder
from latentrl.share.card import card_quality, card_vector_quality
from latentrl.types import describe_space

WIDTH = 96
"""Columns of text."""
STATISTICS = ("validation", "mean", "sd", "min", "p10", "median", "max")
"""Columns on the returns; counts of episodes follow."""
LIMIT = 1_000
"""Timesteps after which the printed evaluation truncates episodes that may have no end."""
Rows = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Trained:
    """Result of a training run."""

    path: Path
    """Folder of the run, with the agents in ``best`` and ``last``."""
    config: AgentConfig
    """The agent that was trained."""
    timesteps: int
    """Timesteps of training in all environments together."""
    best: Evaluation | None
    """Validation of the best checkpoint; None before the first one."""
    last: Evaluation | None
    """Newest validation."""
    seconds: float
    """Wall time of the training, validations included; of a resumed run, since it was resumed."""
    resumed_at: int = 0
    """Timesteps of the run before it was resumed."""


def describe_run(
    config: TrainConfig,
    agent: AgentConfig,
    encoder: Autoencoder | None,
    venv: VecEnv,
    path: Path,
    done: int = 0,
) -> str:
    """Return the table of a run that is about to begin, with its hyperparameters below.

    Args:
        config: flags of the run.
        agent: the agent that they describe.
        encoder: its encoder; None for an agent that learns from pixels.
        venv: environments of the training.
        path: folder of the run.
        done: timesteps of the run that is resumed.
    """
    rows = [
        *_environment(config, agent, venv),
        *_observations(agent, encoder, venv),
        *_training(config, agent, done),
        ("folder", str(path)),
    ]
    return f"{aligned(rows)}\n\n{describe_hyperparameters(agent)}"


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and values in two columns; long values continue in lines below."""
    left = 2 + max(len(name) for name, _ in rows)
    wrapper = textwrap.TextWrapper(
        WIDTH, subsequent_indent=" " * left, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(wrapper.fill(f"{name:<{left}}{value}") for name, value in rows)


def _environment(config: TrainConfig, agent: AgentConfig, venv: VecEnv) -> Rows:
    environment = agent.environment
    limit = environment.max_episode_steps
    truncated = f", truncated after {limit:,} timesteps" if limit else ""
    yield "environment", f"{environment.id}{truncated}"
    yield "actions", str(venv.action_space)
    skip = environment.frame_skip
    yield "frame skip", f"1 timestep is {skip} env frame{'s' * (skip > 1)}"
    backend = backend_of(environment) if config.backend == "auto" else config.backend
    yield "simulator", f"{backend}, {venv.num_envs} environments"
    if config.shaping:
        yield "shaping", "added to the rewards of the training, not to the returns below"


def _observations(agent: AgentConfig, encoder: Autoencoder | None, venv: VecEnv) -> Rows:
    environment = agent.environment
    source = f", {environment.key}" if environment.key else ""
    source += ", rendered" if environment.render_size else ""
    yield "frames", describe_space(gymnasium_of(venv).single_observation_space) + source
    if encoder is not None:
        yield "encoder", f"{_network(encoder)}, {encoder.source or 'not saved'}"
        measured = card_quality(encoder) or card_vector_quality(encoder)
        if measured is not None:
            yield "", measured.summary()[0]
    count = " and an episodic count" if agent.episodic_count else ""
    what = "latent" if agent.latent else "image"
    stacked = what if agent.stack == 1 else f"{agent.stack} stacked {what}s"
    yield "observations", f"{describe_space(venv.observation_space)}: {stacked}{count}"


def _network(encoder: Autoencoder) -> str:
    layout, config = encoder.latent_layout, encoder.config
    cells = (
        ""
        if layout.grid is None
        else " ({} x {} cells of {})".format(*layout.grid, layout.channels)
    )
    backbone = "" if config.backbone is None else f", {config.backbone['name']}"
    weights = sum(weight.numel() for weight in encoder.encoder.parameters())
    return f"{config.model}{backbone}, {encoder.latent_dim} latents{cells}, {weights:,} weights"


def _training(config: TrainConfig, agent: AgentConfig, done: int) -> Rows:
    total = int(agent.hyperparameters["timesteps"])
    frames = total * agent.environment.frame_skip
    untuned = ", not tuned for this environment" if config.untuned else ""
    yield "algorithm", f"{agent.algo}, seed {config.seed}{untuned}"
    if config.bonus is not None:
        weight = "" if config.novelty_weight is None else f", weight {config.novelty_weight:g}"
        unless = ", removed unless rewards are sparse"
        yield "novelty bonus", config.bonus + weight + (unless if config.judges_rewards else "")
    if keeps_episodes(config):
        unless = "" if config.self_imitation else ", if the bonus stays and counts tokens"
        yield "self-imitation", "of episodes that are better than usual" + unless
    after = f", {done:,} are done" if done else ""
    clock = "" if config.minutes is None else f", at most {config.minutes:g} minutes"
    yield "training", f"{total:,} timesteps ({frames:,} env frames){after}{clock}"
    yield "validation", f"{config.eval_episodes} episodes every {config.eval_every:,} timesteps"
    if config.refine_at:
        yield "encoder refined", f"at timesteps {', '.join(f'{k:,}' for k in config.refine_at)}"


def describe_result(result: Trained) -> str:
    """Return the summary of a run: time, validations, folder and the next commands."""
    frames = result.timesteps * result.config.environment.frame_skip
    rate = (result.timesteps - result.resumed_at) / result.seconds
    resumed = f", from {result.resumed_at:,}" if result.resumed_at else ""
    lines = [
        f"{result.timesteps:,} timesteps ({frames:,} env frames){resumed} in "
        f"{_duration(result.seconds)}, {rate:,.0f} timesteps/s with validations",
        *validation_table({"best": result.best, "last": result.last}),
        f"folder: {result.path}",
        "next:",
        *(f"  {shell_line(words)}" for words in next_commands(result)),
    ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def validation_table(found: dict[str, Evaluation | None]) -> list[str]:
    """Return the lines of a table with a row for each evaluation that there is."""
    evaluations = {name: each for name, each in found.items() if each is not None}
    known = all(each.successes is not None for each in evaluations.values())
    columns = (*STATISTICS, "episodes", "successful" if known else "return <= 0", "cut", "policy")
    rows = [columns, *(_cells(name, each, known) for name, each in evaluations.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if 0 < k < len(columns) - 1 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(name: str, result: Evaluation, known: bool) -> tuple[str, ...]:
    returns = (result.mean, result.std, result.minimum, result.p10, result.median)
    outcome = result.successes if known else result.not_positive
    counts = len(result.returns), outcome, result.cut
    return (
        *(name, *(f"{value:.4g}" for value in (*returns, max(result.returns)))),
        *(*map(str, counts), result.policy),
    )


def next_commands(result: Trained) -> list[list[str]]:
    """Return commands that show the curves, evaluate the best agent and record it."""
    env_id = result.config.environment.id
    backend = "envpool" if family_of(env_id).envpool_only else "gymnasium"
    mode = []
    if result.best is not None:
        deterministic = result.best.policy == "deterministic"
        mode = ["--deterministic" if deterministic else "--no-deterministic"]
    # Episodes without an end would last until the evaluation cuts them.
    cut = result.best is not None and result.best.cut > 0
    episodes = "10" if cut else "100"
    limit = ["--max-episode-steps", str(LIMIT)] if cut and _endless(result) else []
    named = named_module(env_id)
    evaluate = [*python_script("evaluate_agent.py"), "--agent", str(result.path)]
    commands = [
        tensorboard_command(result.path),
        [*evaluate, "--episodes", episodes, "--backend", backend, *mode, *limit, *named],
    ]
    if backend == "gymnasium":
        video = ["--video", str(result.path / "episode.mp4")]
        commands.append([*evaluate, "--episodes", "1", *mode, *limit, *named, *video])
    return commands


def _endless(result: Trained) -> bool:
    """Return whether no episode of the last validation has ended, and nothing limits them."""
    limited = result.config.environment.max_episode_steps is not None
    last = result.last
    return not limited and last is not None and last.cut == len(last.returns)


def resume_command(path: Path, config: TrainConfig, seconds: float) -> str:
    """Return the command that continues a run after ``seconds``, for the user to copy."""
    words = [*python_script("train_agent.py"), "--resume", "--out", str(path)]
    # A run does not keep these two: they belong to the machine and to the call.
    if config.minutes is not None:
        words += ["--minutes", f"{max(config.minutes - seconds / 60, 1):.0f}"]
    if config.device != TrainConfig.device:
        words += ["--device", config.device]
    return shell_line([*words, *named_module(config.env)])


def named_module(env_id: str) -> list[str]:
    """Return the flag that names an environment's module, which its folder alone cannot import."""
    return ["--env", env_id] if ":" in env_id else []
