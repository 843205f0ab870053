"""Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.bonuses import DEFAULT_NOVELTY
from agents.train import TrainConfig, Trained, train
from envs import family_of
from scripts.cli import run


def main(config: TrainConfig) -> None:
    """Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""
    report(train(config))


def report(result: Trained) -> None:
    """Print the result, its folder and the next commands."""
    frames = result.timesteps * result.config.environment.frame_skip
    print(f"\n{result.timesteps:,} timesteps ({frames:,} env frames), in {result.path}")
    print(f"best checkpoint, on the validation episodes: {result.best}")
    print("next:")
    print("  tensorboard --logdir runs")
    env_id = result.config.environment.id
    backend = "envpool" if family_of(env_id).envpool_only else "gymnasium"
    words = ["--agent", str(result.path), "--episodes", "100", "--backend", backend]
    if result.best is not None:
        mode = result.best.policy == "deterministic"
        words.append("--deterministic" if mode else "--no-deterministic")
    if ":" in env_id:  # a module that only the agent's folder names is not imported
        words += ["--env", env_id]
    print(f"  {shlex.join(['python', 'scripts/evaluate_agent.py', *words])}")


if __name__ == "__main__":
    run(TrainConfig, main, bare={"--novelty": DEFAULT_NOVELTY}, joined=["--hyperparams"])
