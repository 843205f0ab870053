"""Pretrain, train and evaluate on CarRacing at a small scale, and print a table."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.demo import DemoConfig, demo
from scripts.cli import run


def main(config: DemoConfig) -> None:
    """Collect frames, pretrain a beta-VAE, train PPO on its latents, evaluate the agent."""
    result = demo(config)
    path = result.trained.path
    print(f"\n{config.env}: Stable-Baselines3 PPO on the latents of a beta-VAE\n{result}\n")
    print("more about this run:")
    print("  tensorboard --logdir runs")
    print(
        f"  python scripts/evaluate_agent.py --agent {path} --episodes 1 --video {path}/drive.mp4"
    )
    print("the long run:")
    print(f"  python scripts/pretrain_vae.py --env {config.env}")
    flag = " --shaping" if result.shaped else ""
    print(f"  python scripts/train_agent.py --env {config.env} --latent{flag}")


if __name__ == "__main__":
    run(DemoConfig, main)
