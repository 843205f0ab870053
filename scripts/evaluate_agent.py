"""Evaluate a trained agent on test episodes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.evaluate import TEST_SEED, evaluate_agent
from agents.share import local_run
from agents.video import record_video
from latentrl.viz.video import check_video
from scripts.cli import run


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a trained agent on test episodes."""

    agent: Path
    """Folder of the training run, or hf://user/name of an agent on the Hugging Face Hub."""
    episodes: int = 100
    """Number of episodes."""
    backend: Literal["gymnasium", "drawn", "envpool"] = "gymnasium"
    """Simulator to evaluate on."""
    seed: int = TEST_SEED
    """Seed of the first episode; the next ones have the next seeds."""
    deterministic: tyro.conf.DisallowNone[bool | None] = None
    """Take the mode of the policy, or samples of it; the better one in validation if not given.
    Epsilon-greedy policies explore as at the end of training, or not at all if deterministic."""
    random: bool = False
    """Evaluate uniform random actions on the same episodes, too."""
    checkpoint: Literal["best", "last"] = "best"
    """The checkpoint of the best validation, or the last one."""
    env: str | None = None
    """Another environment with the same spaces; default: the one of training."""
    max_episode_steps: int | None = None
    """Timesteps after which an episode is truncated; as in training if not given."""
    trust: bool = False
    """Import the module that the agent's folder names as its environment."""
    device: str = "auto"
    """Device of the encoder; auto is the GPU where there is one."""
    video: Path | None = None
    """An .mp4 (extra video) or .gif of one episode."""


def main(config: EvaluateConfig) -> None:
    """Evaluate a trained agent on test episodes."""
    if config.video is not None:
        check_video(config.video)  # not after the episodes
    agent = local_run(config.agent)
    results = [
        evaluate_agent(
            agent,
            config.episodes,
            backend=config.backend,
            seed=config.seed,
            deterministic=config.deterministic,
            checkpoint=config.checkpoint,
            env=config.env,
            max_episode_steps=config.max_episode_steps,
            random=random,
            trust=config.trust,
            device=config.device,
        )
        for random in (False, True)[: 1 + config.random]
    ]
    print()
    for result in results:
        print(f"extrinsic return: {result}")
    for result in results:
        if result.report is not None:
            print(f"every episode: {result.report}")
    if config.video is not None:
        record_video(
            agent,
            config.video,
            config.seed,
            config.device,
            config.checkpoint,
            config.env,
            deterministic=config.deterministic,
            max_episode_steps=config.max_episode_steps,
            trust=config.trust,
        )
        print(f"video: {config.video}")


if __name__ == "__main__":
    run(EvaluateConfig, main)
