"""Agents on the Hugging Face Hub: upload with a card, and download to evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from agents.checkpoint import WEIGHTS, read_agent
from agents.config import AgentConfig
from agents.evaluate import STATISTICS, TEST_SEED, agent_folder
from agents.runs import RUNS
from agents.validation import best_result
from latentrl.share.card import EXPLORER, Card, encoder_table, explorer_link, table
from latentrl.share.push import upload
from latentrl.training.checkpoint import WEIGHTS as MODEL
from latentrl.training.checkpoint import load
from latentrl.utils.decoding import decode
from latentrl.utils.hub import Repository, is_reference
from latentrl.utils.io import read_json

REPORTS = "evaluation-*.json"
VIDEOS = (".gif", ".mp4")
HUB_WEIGHTS = f"best/{WEIGHTS}"
"""The agent in a repository."""
SHOWN = ("policy", *STATISTICS, "episodes", "env", "backend", "seed", "max_episode_steps")
"""Columns of the table of returns."""


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a training run, with an agent."""
    return any((folder / checkpoint / WEIGHTS).is_file() for checkpoint in ("best", "last"))


def local_run(run: Path) -> Path:
    """Return ``run``, or of ``hf://user/name[@revision]`` the folder of the downloaded agent.

    That is ``runs/hub/user/name``: evaluations write their reports beside the agent. The files are
    the agent and its encoder, and no other file of the repository.

    Raises:
        FileNotFoundError: the repository or an agent in it does not exist, or the Hub cannot be
            reached.
        ValueError: the agent's file is damaged or foreign.
        PermissionError, ImportError: the Hub refuses access, or huggingface_hub is missing.
    """
    if not is_reference(run):
        return run
    repository = Repository.parse(run)
    folder = RUNS / "hub" / str(repository).removeprefix("hf://")
    config = read_agent(repository.download(HUB_WEIGHTS, folder).parent)[0]
    if config.latent:
        repository.download(f"{config.encoder}/{MODEL}", folder)
    return folder


def push_agent(run: Path, repo: str, *, private: bool = False, license: str | None = None) -> str:
    """Upload the best agent of a run with its encoder, reports, videos, explorer and a card.

    Replay buffer, bonus, logs and flags stay here: the agent can be evaluated, not resumed. The
    card is a ``README.md`` of your own where the folder has one, else ``agent_card``.

    Args:
        run: folder of a training run.
        repo: ``user/name``; the repository is created where there is none.
        private: whether a new repository is private.
        license: the Hub's name of a license, such as ``mit``; None names none.

    Returns:
        The address of the repository's page.

    Raises:
        FileNotFoundError: there is no agent, or the Hub cannot be reached.
        ValueError: ``repo`` is no name of a repository, a file is damaged, or a license is given
            beside a card of your own.
        PermissionError: there is no token, or it does not allow to write to ``repo``.
        ImportError: huggingface_hub is missing.
    """
    repository = Repository.parse(repo)
    text = agent_card(run, repository.name, license)
    folder = agent_folder(run)
    config = read_agent(folder)[0]
    names = [*encoder_files(config), *_reports(run), *(file.name for file in _videos(run))]
    # The last agent of a run without a validation takes the place of the best, so that no older
    # one stays there.
    files = {HUB_WEIGHTS: folder / WEIGHTS, **{name: run / name for name in (*names, EXPLORER)}}
    return upload(repository, run, files, text, private, license)


def encoder_files(config: AgentConfig) -> list[str]:
    """Return the files of an agent's encoder, relative to the folder of its run."""
    return [f"{config.encoder}/{name}" for name in (MODEL, "config.json")] if config.latent else []


def agent_card(run: Path, repo: str = "user/name", license: str | None = None) -> str:
    """Return the model card of a run's best agent, with the returns of its evaluations.

    Reports of another checkpoint, or of fewer or more timesteps of training, are left out.

    Args:
        run: folder of a training run.
        repo: repository that the card's example evaluates.
        license: the Hub's name of a license, such as ``mit``; None names none.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: the agent's file or a report is damaged.
    """
    folder = agent_folder(run)
    config, _, notes = read_agent(folder)
    env_id = config.environment.id
    reports = [*_reports(run).values()]
    card = Card(
        title=f"{config.algo} in {env_id}",
        task="reinforcement-learning",
        data=env_id,
        tags=["deep-reinforcement-learning", "stable-baselines3", config.algo, env_id],
        metrics=_metrics(reports, env_id),
        sections=[
            _summary(config, notes),
            *(_video(file.name) for file in _videos(run)),
            _returns(reports),
            _validation(run),
            _encoder(run, config),
            explorer_link(run),
            _usage(repo, env_id),
        ],
    )
    return card.text(license)


def _videos(run: Path) -> list[Path]:
    return sorted(file for file in run.glob("*") if file.suffix in VIDEOS)


def _reports(run: Path) -> dict[str, dict[str, Any]]:
    """Return the reports of the run's best agent, by the names of their files."""
    folder = agent_folder(run)
    timesteps = read_agent(folder)[2]["timesteps"]
    found = {file.name: _report(file) for file in sorted(run.glob(REPORTS))}
    return {
        name: report
        for name, report in found.items()
        if report.get("timesteps") == timesteps and report["checkpoint"] in ("best", folder.name)
    }


def _report(file: Path) -> dict[str, Any]:
    report: dict[str, Any] = decode(dict[str, Any], read_json(file), str(file))
    returns = decode(list[float], report.get("returns"), f"returns in {file}")
    decode(Literal["best", "last"], report.get("checkpoint"), f"checkpoint in {file}")
    for name in STATISTICS:
        decode(float, report.get(name), f"{name} in {file}")
    return {**report, "episodes": len(returns)}


def _metrics(reports: list[dict[str, Any]], env_id: str) -> dict[str, float]:
    """Return the statistics of the largest evaluation of the agent in its own environment.

    An evaluation with another time limit is the last choice.
    """
    own = [r for r in reports if r.get("env") == env_id and r.get("policy") != "random"]
    if not own:
        return {}
    largest = max(
        own,
        key=lambda report: (
            report.get("max_episode_steps") is None,
            report["episodes"],
            report.get("seed") == TEST_SEED,
        ),
    )
    names = {
        "mean": "mean_reward",
        "std": "std_reward",
        "minimum": "min_reward",
        "p10": "p10_reward",
    }
    return {name: largest[key] for key, name in names.items()} | {"episodes": largest["episodes"]}


def _summary(config: AgentConfig, notes: Mapping[str, Any]) -> str:
    observed = "the latents of a pretrained encoder" if config.latent else "pixels"
    return (
        f"An agent of Stable-Baselines3, `{config.algo}`, that observes {observed} of "
        f"`{config.environment.id}`. It was trained for {int(notes['timesteps']):,} timesteps; "
        f"environment frames per timestep: {config.environment.frame_skip}."
    )


def _returns(reports: list[dict[str, Any]]) -> str:
    if not reports:
        return "There is no evaluation on test episodes yet."
    # None is a time limit as in training.
    rows = [
        ["" if report.get(name) is None else report[name] for name in SHOWN] for report in reports
    ]
    return f"Extrinsic returns of test episodes:\n\n{table(SHOWN, rows)}"


def _validation(run: Path) -> str:
    best = best_result(run)
    if best is None:
        return ""
    return f"The validation that chose this checkpoint, on other episodes: {best}."


def _encoder(run: Path, config: AgentConfig) -> str:
    if not config.latent:
        return ""
    metrics = encoder_table(load(run / config.encoder, "cpu"))
    return f"Its encoder:\n\n{metrics}" if metrics else ""


def _video(name: str) -> str:
    if name.endswith(".gif"):
        return f"![One episode]({name})"
    return f'<video src="{name}" controls autoplay loop muted></video>'


def _usage(repo: str, env_id: str) -> str:
    # A module that the name holds is imported only where the user repeats the name.
    trust = f" --env {env_id}" if ":" in env_id else ""
    code = f"python scripts/evaluate_agent.py --agent hf://{repo}{trust}"
    return f"From a checkout of latentrl:\n\n```\n{code}\n```"
