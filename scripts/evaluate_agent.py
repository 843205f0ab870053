"""Let a trained agent play episodes that training never saw."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.evaluate import UNSEEN_SEED, evaluate_agent, report_file
from scripts.cli import run


@dataclass(frozen=True)
class EvaluateConfig:
    """Let a trained agent play episodes that training never saw."""

    agent: Path
    """Folder of the training run."""
    episodes: int = 100
    """How many."""
    backend: Literal["gymnasium", "envpool"] = "gymnasium"
    """Simulator to evaluate on."""
    seed: int = UNSEEN_SEED
    """Seed of the first episode; the others follow."""
    stochastic: bool = False
    """Sample the policy instead of taking its mode; of DQN, explore as at the end of training."""
    checkpoint: Literal["best", "last"] = "best"
    """The best one, by the episodes that chose it, or the last."""
    env: str | None = None
    """Another environment of the same observations and actions; the one it was trained in where not
    given."""
    device: str = "auto"
    """Of the encoder; auto is the GPU where there is one."""
    video: Path | None = None
    """An .mp4 of one episode."""


def main(config: EvaluateConfig) -> None:
    """Let a trained agent play episodes that training never saw."""
    result = evaluate_agent(
        config.agent,
        config.episodes,
        backend=config.backend,
        seed=config.seed,
        deterministic=not config.stochastic,
        checkpoint=config.checkpoint,
        env=config.env,
        device=config.device,
        video=config.video,
    )
    print(f"\nreturn of the task itself: {result}")
    mode = (not config.stochastic, config.checkpoint, config.env)
    print(f"every episode: {report_file(config.agent, config.backend, config.episodes, *mode)}")
    if config.video:
        print(f"video: {config.video}")


if __name__ == "__main__":
    run(EvaluateConfig, main)
