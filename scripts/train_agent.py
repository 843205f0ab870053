"""Train a PPO or DQN agent in the codes of a pretrained encoder, or from pixels."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.bonuses import DEFAULT_NOVELTY
from agents.train import TrainConfig, Trained, train
from scripts.cli import run


def main(config: TrainConfig) -> None:
    """Train a PPO or DQN agent in the codes of a pretrained encoder, or from pixels."""
    report(train(config))


def report(result: Trained) -> None:
    """Print what was reached, where it is and what to run next."""
    frames = result.decisions * result.config.environment.frame_skip
    print(f"\n{result.decisions:,} decisions, {frames:,} environment frames, in {result.path}")
    print(f"best checkpoint, on the episodes that chose it: {result.best}")
    print("next:")
    print("  tensorboard --logdir runs")
    print(
        f"  python scripts/evaluate_agent.py --agent {result.path} --episodes 100 --backend gymnasium"
    )


if __name__ == "__main__":
    run(TrainConfig, main, bare={"--novelty": DEFAULT_NOVELTY})
